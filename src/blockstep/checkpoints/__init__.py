"""Checkpoints: how they are written and read, when they are saved, and what exact resume needs in them."""
