"""An older copy of metadata and card, but for one free segment that a newer
metadata file has written: opening sees nothing, writing would come upon it."""
FIRST = "-p"
WAS = "older"
# ----
s.put("older", "corp.lbs")
s.put("older", "card")
used = {i for i, in s.sql("SELECT idx FROM segment")}
free = max(i for i in range(32) if i not in used and
           s.read_segment("closed", i)[:8] == b"LBSseg1\0")
s.write_segment(free, s.read_segment("closed", free))
