"""blockstep: training in blocks, checkpoints, exact resume, logging and a command line for PyTorch Lightning."""

__version__ = "0.1.0"
