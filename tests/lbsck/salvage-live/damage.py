"""The page that holds the table live is junk."""
FIRST = "-y"
SECOND = "-n --scrub"
LOST = 0
AGAIN = "corp.lbs.salvaged"
# ----
s.scribble(s.page_of("live"))
