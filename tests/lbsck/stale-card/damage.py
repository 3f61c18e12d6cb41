"""An older copy of the card: refused, and nothing is changed."""
FIRST = "-y --scrub"
REFUSED = True
# ----
s.put("older", "card")
