"""card.lbs is gone, the log is there: it is made anew."""
LOST = 0
# ----
os.remove(os.path.join(s.card, "card.lbs"))
