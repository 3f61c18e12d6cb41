"""card.lbs holds zeroes: it is made anew."""
LOST = 0
# ----
with open(os.path.join(s.card, "card.lbs"), "r+b") as f:
    f.write(bytes(8192))
