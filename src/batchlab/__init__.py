"""batchlab: what does the batch size do to training? The answer, by example, in PyTorch Lightning."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchlab.cli import fit, main
    from batchlab.data import ToyDataModule
    from batchlab.epoch_report import ContourReport
    from batchlab.evaluation import regret
    from batchlab.model import MLP, BinaryClassifier
    from batchlab.toy import draw_events, posterior

try:
    __version__ = version("batchlab")
except PackageNotFoundError:  # `batchlab new` needs no installation
    __version__ = "0"
__all__ = [
    "MLP",
    "BinaryClassifier",
    "ContourReport",
    "ToyDataModule",
    "draw_events",
    "fit",
    "main",
    "posterior",
    "regret",
]

_MODULES = {
    "MLP": "model",
    "BinaryClassifier": "model",
    "ContourReport": "epoch_report",
    "ToyDataModule": "data",
    "draw_events": "toy",
    "fit": "cli",
    "main": "cli",
    "posterior": "toy",
    "regret": "evaluation",
}


def __getattr__(name: str) -> Any:  # imported when they are asked for (PEP 562), since torch takes seconds
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
