"""A row of the map that SQLite reads well makes no sense: salvaged, what only it
knew is errors, and what newer rows say holds."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
# ----
s.as_deltas()
s.sql("UPDATE map_delta SET runs=x'ff' WHERE key=(SELECT min(key) FROM map_delta)")
