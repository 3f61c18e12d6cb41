"""The page that holds the table map_page is junk."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
# ----
s.scribble(s.page_of("map_page"))
