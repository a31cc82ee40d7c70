"""The command line: an application names its classes, and this room makes commands of them."""
