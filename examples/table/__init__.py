"""A table of Fisher's irises (1936): 150 flowers of three species, told apart by the lengths of their leaves."""
