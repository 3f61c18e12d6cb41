"""A salvaged file that is there is never written over."""
FIRST = "-y"
SECOND = "-y"
REFUSED = True
# ----
s.scribble(s.page_of("segment"))
with open(s.meta + ".salvaged", "w") as f:
    f.write("mine")
