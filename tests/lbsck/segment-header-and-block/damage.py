"""The header of a segment and one of its blocks are damaged: the others are
written elsewhere, that one stays an error."""
LOST = 1
# ----
segment = s.closed_segment()
s.flip(segment, 70)
s.flip(segment, s.place_in(segment)[1] + 99)
