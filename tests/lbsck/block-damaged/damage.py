"""Bits flipped in a block, and in two that lie side by side: each stays an error,
whatever is answered."""
FIRST = "-y --scrub"
LOST = 3
# ----
places = s.map()
for block in 7, 300, 301:
    s.flip(places[block][0], places[block][1] + 1000)
