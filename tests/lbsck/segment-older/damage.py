"""A segment as it was two lives before: its blocks are errors, old data is never
read."""
FIRST = "-y --scrub"
# ----
anchor = s.sql("SELECT segment FROM anchor")[0][0]
segment = s.closed_segment()
assert segment != anchor
data = s.read_segment("older", segment)
assert data[:64] != s.read_segment("it", segment)[:64]
s.write_segment(segment, data)
