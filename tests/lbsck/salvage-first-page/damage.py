"""The first page of the metadata file, with the schema, is junk: another store's
stands in for it."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
LOST = 0
# ----
s.page_of("vdisk")
s.scribble(1)
