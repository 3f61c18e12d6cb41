"""An older copy of the card: what would be lost."""
FIRST = "-n --accept-loss"
REFUSED = True
# ----
s.put("older", "card")
