"""What only shows something fails by itself: without this module, a picture could take a finished training with it."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from blockstep.base.errors import TRACEBACK, BadInputError, OutputError, RunError, shortened
from blockstep.base.stdout_guard import say


class Showing:
    """A mixin for callbacks and loggers that only show something: an exception is printed, and training goes on.

    Put it before `Callback`. Subclasses are protected too; of a logger, those methods that are `shielded`. The command
    ends with exit status 1 then.

    Attributes:
        failures: What has failed, each once.
    """

    failures: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, hook in list(vars(cls).items()):
            if name.startswith("on_") and callable(hook):
                setattr(cls, name, shielded(hook))


def shielded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a `Showing` that prints an exception instead of raising it."""

    @wraps(hook)
    def call(self: Showing, *args: Any, **kwargs: Any) -> Any:
        try:
            return hook(self, *args, **kwargs)
        except (BadInputError, RunError, OutputError):
            raise
        except Exception as error:
            if TRACEBACK in os.environ:
                raise
            _note(self, f"{type(self).__name__}.{hook.__name__} failed: {type(error).__name__}: {error}")

    return call


def _note(showing: Showing, failure: str) -> None:
    if failure not in showing.failures:
        showing.failures += (failure,)
        say(f"{shortened(failure)} Training goes on without it.")
