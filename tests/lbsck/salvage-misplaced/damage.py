"""A good, empty page lies where the rows of map_base should, another where an
index should: the map reads well, and the counts know that it is not the one. Then
no block is a hole."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
LOST = 6144
# ----
db = sqlite3.connect(s.meta)
index = db.execute("SELECT rootpage FROM sqlite_schema WHERE name LIKE "
                   "'sqlite_autoindex_vdisk%'").fetchone()[0]
db.close()
page = s.page_of("map_base")
with open(s.meta, "r+b") as f:
    for at, kind in (page, 13), (index, 10):
        f.seek((at - 1) * 4096)
        f.write(bytes((kind, 0, 0, 0, 0, 0x10, 0, 0)))
