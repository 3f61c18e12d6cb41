"""The row of a segment in use is gone: its blocks cannot be read, and it must
not be taken for free. -p keeps it out of use."""
FIRST = "-p"
SECOND = "-n"
# ----
anchor = s.sql("SELECT segment FROM anchor")[0][0]
segment = s.closed_segment()
assert segment != anchor
s.sql("DELETE FROM segment WHERE idx=?", segment)
