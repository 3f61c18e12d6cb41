"""Nothing is damaged; the server was killed, so the log is rolled forward."""
STORE = "killed"
FIRST = "-n --scrub"
LOST = 0
