"""The store is named by a link: the new file lies beside the file, and is told there."""
FIRST = "-y"
SECOND = "-n --scrub"
LOST = 0
AGAIN = "real.lbs.salvaged"
# ----
s.scribble(s.page_of("segment"))
os.rename(s.meta, os.path.join(s.dir, "real.lbs"))
os.symlink("real.lbs", s.meta)
