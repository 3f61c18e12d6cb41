"""A chunk file that holds live blocks cannot be read: that is another thing than
damage, and nothing is done about it."""
STORE = "killed"
UNREADABLE = "0000.lbs"
TRUTH = False
# ----
