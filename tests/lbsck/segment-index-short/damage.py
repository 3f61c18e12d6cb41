"""The map says that more blocks lie in a closed segment than its index names:
those that do are written elsewhere, the others were never there."""
LOST = 480
# ----
segment = s.closed_segment()
place = s.place_in(segment)
s.add_delta([(2600 + 60 * i, 60, place) for i in range(8)])
s.count(segment, 480)
