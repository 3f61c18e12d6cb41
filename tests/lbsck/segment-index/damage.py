"""The index of a closed segment is damaged."""
LOST = 0
# ----
s.flip(s.closed_segment(), SEGMENT - 40)
