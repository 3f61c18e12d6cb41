"""The page that holds the table map_delta is junk."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
# ----
s.as_deltas()
s.scribble(s.page_of("map_delta"))
