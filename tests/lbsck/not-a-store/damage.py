"""The metadata file is random: not even whose it was can be said."""
FIRST = "-y"
SECOND = "-n"
REFUSED = True
# ----
for page in range(1, os.path.getsize(s.meta) // 4096 + 1):
    s.scribble(page)
