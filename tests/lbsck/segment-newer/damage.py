"""An older metadata file, taken in spite of what lbsck says: what newer lives
wrote over is an error."""
FIRST = "-y --accept-loss"
WAS = "older"
TRUTH = True
# ----
s.put("older", "corp.lbs")
