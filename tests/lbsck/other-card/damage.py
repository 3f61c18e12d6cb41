"""Another store's card: put in the right one."""
FIRST = "-y"
REFUSED = True
# ----
s.put("foreign", "card")
