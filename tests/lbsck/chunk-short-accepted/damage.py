"""A chunk file was cut short."""
FIRST = "-y --accept-loss"
# ----
os.truncate(s.file_of(s.closed_segment()), 100000)
