"""Studies: many trainings of one model over a grid of settings, and what follows from them. This is an extra."""
