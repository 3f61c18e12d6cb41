"""Counts of live blocks are too small: they are counted again."""
LOST = 0
# ----
s.count(s.closed_segment(), -3)
s.count(s.open_segment(), -1)
