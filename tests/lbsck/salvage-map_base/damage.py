"""The page that holds the table map_base is junk."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
# ----
s.scribble(s.page_of("map_base"))
