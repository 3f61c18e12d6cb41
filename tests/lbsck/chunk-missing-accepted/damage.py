"""A chunk file is gone, and that is accepted: its blocks are errors."""
FIRST = "-y --accept-loss"
# ----
os.remove(s.file_of(s.closed_segment()))
