"""An older copy of the card, taken all the same: what it lacks are errors."""
FIRST = "-y --accept-loss"
# ----
s.put("older", "card")
