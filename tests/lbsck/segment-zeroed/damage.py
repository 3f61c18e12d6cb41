"""A segment was overwritten with zeroes: its blocks are errors, not zeroes."""
FIRST = "-y --scrub"
# ----
anchor = s.sql("SELECT segment FROM anchor")[0][0]
segment = s.closed_segment()
assert segment != anchor
s.write_segment(segment, bytes(SEGMENT))
