"""Without -y a corrupt metadata file is told, and nothing else happens."""
FIRST = "-n"
REFUSED = True
# ----
s.scribble(s.page_of("segment"))
