"""The log ends before what was acknowledged as durable."""
STORE = "killed"
FIRST = "-y --accept-loss"
TRUTH = False
# ----
segment = s.sql("SELECT segment FROM anchor")[0][0]
s.write_segment(segment, bytes(SEGMENT))
os.remove(s.meta + ".run") if os.path.exists(s.meta + ".run") else None
