"""A map entry beyond the end of the vdisk: -p does not touch it."""
LOST = 0
# ----
s.add_delta([(7000, 1, s.place_in(s.open_segment()))])
s.count(s.open_segment(), 1)
