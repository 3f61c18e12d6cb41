"""The headers of two segments in a row are damaged, and a block of the second: the
blocks of the first are written elsewhere, the second stays, and is not called mended."""
LOST = 1
# ----
segment = s.closed_segment()
s.flip(segment, 70)
s.flip(segment + 1, 70)
s.flip(segment + 1, s.place_in(segment + 1)[1] + 99)
