"""An older copy of the card, from before its chunk file grew: looking comes first."""
FIRST = "-y --scrub"
REFUSED = True
# ----
s.put("older", "card")
os.truncate(s.file_of(0), 3 << 20)
