"""A run from its start to its end: its folder, its report, signals, and going on with it."""
