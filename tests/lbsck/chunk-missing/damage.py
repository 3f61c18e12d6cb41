"""A chunk file is gone, which -y alone does not accept."""
FIRST = "-y"
REFUSED = True
# ----
os.remove(s.file_of(s.closed_segment()))
