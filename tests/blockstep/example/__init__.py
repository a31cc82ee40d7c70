"""The smallest application: a model and a data module of some twenty lines each, and a command line for them."""
