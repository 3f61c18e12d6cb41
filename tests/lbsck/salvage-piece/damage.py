"""The page that holds the table piece is junk."""
FIRST = "-y"
SECOND = "-y --accept-loss"
LOST = 0
AGAIN = "corp.lbs.salvaged"
# ----
s.scribble(s.page_of("piece"))
