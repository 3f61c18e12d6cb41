"""A record in the middle of the flushed log is damaged: what follows it is not
cut off in silence, and what is lost is accepted."""
STORE = "killed"
FIRST = "-y --accept-loss"
TRUTH = False
# ----
s.flip(s.sql("SELECT segment FROM anchor")[0][0], 4096 + 30)
