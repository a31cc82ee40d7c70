"""When a study looks at a training, and what it looks for: without it, there would be only one way to judge."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """When a training is looked at, and what its curve must do.

    Attributes:
        per_decade: Checkpoints from one power of ten of steps to the next.
        further: Further checkpoints at which a target must hold, so that a single lucky one does not count.
        diverged: A training has diverged when its metric lies above its start by more than so many times the start's
            size.
    """

    per_decade: int = 10
    further: int = 2
    diverged: float = 1.0


DEFAULT_RULES = Rules()
