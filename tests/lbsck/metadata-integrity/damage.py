"""SQLite's own check complains of an index, while all tables read well: nothing
is lost by salvaging."""
FIRST = "-y"
SECOND = "-n --scrub"
AGAIN = "corp.lbs.salvaged"
LOST = 0
# ----
db = sqlite3.connect(s.meta)
page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name LIKE "
                  "'sqlite_autoindex_vdisk%'").fetchone()[0]
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.close()
with open(s.meta, "r+b") as f:	# an index page without entries
    f.seek((page - 1) * 4096)
    f.write(bytes((10, 0, 0, 0, 0, 0x10, 0, 0)))
