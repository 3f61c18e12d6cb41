"""An older copy of the metadata file: refused."""
FIRST = "-p"
REFUSED = True
# ----
s.put("older", "corp.lbs")
