"""batchlab: what does the batch size do to training? A PyTorch Lightning template that answers by example."""

from importlib.metadata import version

__version__ = version("batchlab")
