"""Suppressed messages: without it, lines that need no action would hide those that do."""

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
"""Beginnings of Lightning's messages about hardware, other products, or what the command line says already."""

WARNINGS = (
    # Lightning 2.6 asks torch's pytree a question whose form newer torch calls deprecated.
    r".*isinstance\(treespec, LeafSpec\).*",
    # Data in memory are loaded fastest without workers.
    r".*does not have many workers.*",
    # With fewer steps an epoch than log_every_n_steps, epochs are logged all the same.
    r".*smaller than the logging interval.*",
    # Evaluations use a checkpoint's weights, not its callbacks.
    r".*callbacks used to create the checkpoint need to be provided.*",
    # A default that YAML cannot express is left out of the saved config.
    r"\s*Unable to serialize instance",
    # A run that goes on from another's checkpoint has a folder of its own.
    r".*dirpath has changed from.*",
    # The folder holds this run's own files.
    r".*exists and is not empty.*",
)
"""Warnings that do not apply here, each with its reason."""


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the messages listed above within the context.

    Also suppress tracebacks of an `OSError` in a thread: TensorBoard's writer raises it again in the main thread.
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
