"""The row of the counts of live blocks is gone."""
LOST = 0
# ----
s.sql("DELETE FROM live")
