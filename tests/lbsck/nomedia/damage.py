""".nomedia is gone."""
LOST = 0
# ----
os.remove(os.path.join(s.card, ".nomedia"))
