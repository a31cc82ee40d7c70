"""A block of training steps as one compiled program: without this package, small steps would take many times as long.

It is an engine for `blockstep.blocks.training`. This is an extra: see CONTRIBUTING.md for how to delete it.
"""
