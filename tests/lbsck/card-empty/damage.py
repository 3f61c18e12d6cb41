"""The data directory is empty: the mount point of a card that is not mounted."""
FIRST = "-y"
REFUSED = True
# ----
shutil.rmtree(s.card)
os.mkdir(s.card)
