"""What the terminal is spared: notes and warnings that ask nothing of the person who reads them."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

NOTES = (
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "💡 Tip:",
    "Seed set to",
    "`Trainer.fit` stopped:",
    "Restoring states from",
    "Restored all states from",
    "Loaded model weights from",
)
"""How Lightning's lines begin that speak of hardware, of other products, or of what the command line says."""

WARNINGS = (
    # Lightning 2.6 asks torch's pytree a question whose form newer torch calls deprecated.
    r".*isinstance\(treespec, LeafSpec\).*",
    # Events in memory are loaded fastest by no worker at all.
    r".*does not have many workers.*",
    # A regime with fewer steps an epoch than log_every_n_steps logs its epochs all the same.
    r".*smaller than the logging interval.*",
    # Evaluations take a checkpoint's weights, not its callbacks.
    r".*callbacks used to create the checkpoint need to be provided.*",
    # A run that stops before its first validation has no best checkpoint.
    r".*could not find the monitored key.*",
    # A default that YAML has no form for is left out of the saved config.
    r"\s*Unable to serialize instance",
    # A run that continues another has a folder of its own.
    r".*dirpath has changed from.*",
    # The folder holds this run's own files: each run makes a new one.
    r".*exists and is not empty.*",
)
"""Warnings that are right in general and idle here, each with its reason."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, the notes and warnings listed above are not shown; all others are.

    Nor are tracebacks of an `OSError` in a thread: TensorBoard's writer raises it once more where the run sees it.
    """
    handlers = [handler for name in ("lightning.pytorch", "lightning.fabric") for handler in _handlers(name)]
    with warnings.catch_warnings():
        for message in WARNINGS:
            warnings.filterwarnings("ignore", message)
        for handler in handlers:
            handler.addFilter(_is_needed)
        threading.excepthook = _show_unless_of_the_system
        try:
            yield
        finally:
            threading.excepthook = threading.__excepthook__
            for handler in handlers:
                handler.removeFilter(_is_needed)


def _show_unless_of_the_system(trouble: threading.ExceptHookArgs) -> None:
    if not isinstance(trouble.exc_value, OSError):
        threading.__excepthook__(trouble)


def _is_needed(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(NOTES)


def _handlers(name: str) -> list[logging.Handler]:
    return logging.getLogger(name).handlers
