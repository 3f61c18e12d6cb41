"""A vdisk's row names another layer: the layer that holds the data belongs to no
vdisk, and gets one. The vdisk itself reads as zeroes, as its layer says."""
FIRST = "-y --scrub"
TRUTH = False
LOST = 0
# ----
s.sql("UPDATE vdisk SET layer=2")
