"""The header of a segment is damaged, its blocks are not: they are written
elsewhere."""
LOST = 0
# ----
s.flip(s.closed_segment(), 70)
