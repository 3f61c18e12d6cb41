"""No data directory: no card is inserted, which is no error of the store's."""
FIRST = "-y"
REFUSED = True
# ----
shutil.rmtree(s.card)
