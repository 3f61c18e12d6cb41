"""The same with --scrub, which lists the blocks itself."""
# ----
s.sql("DELETE FROM segment WHERE idx=?", s.closed_segment())
