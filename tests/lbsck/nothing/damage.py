"""Nothing is damaged: a second opinion on what follows."""
LOST = 0
