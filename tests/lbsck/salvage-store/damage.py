"""The page that holds the table store is junk."""
FIRST = "-y"
SECOND = "-n"
REFUSED = True
# ----
s.scribble(s.page_of("store"))
