"""A count of live blocks is too large, and the map's word is taken."""
FIRST = "-y --scrub"
LOST = 0
# ----
s.count(s.closed_segment(), 3)
