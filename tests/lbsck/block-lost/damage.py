"""A map entry leads into a free segment, another into a header."""
FIRST = "-p"
SECOND = "-n"
LOST = 2
# ----
used = {r[0] for r in s.sql("SELECT idx FROM segment")}
free = min(i for i in range(31, 0, -1) if i not in used)
segment = s.open_segment()
s.add_delta([(1500, 1, (free, 8192)), (1600, 1, (segment, 64))])
s.count(segment, 1)
