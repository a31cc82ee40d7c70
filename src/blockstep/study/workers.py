"""Trainings at the same time: without this module, a study would use one processor.

Which worker takes what, and what happens if one is lost, is left to joblib: to its loky processes on this machine, or
to its Dask back end on a cluster.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from blockstep.base.errors import BadInputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def for_each(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int, scheduler: str | None
) -> Iterator[tuple[int, Result]]:
    """Call a function for each item.

    Args:
        function: A function of a module, which workers import by its name.
        items: Its arguments.
        jobs: Calls at the same time on this machine. One is made in this process.
        scheduler: Address of a Dask scheduler, whose workers are used instead.

    Yields:
        The place of an item and its result, as they come.

    Raises:
        BadInputError: If the scheduler cannot be reached, or its workers cannot be used.
    """
    if not items or (scheduler is None and (jobs == 1 or len(items) == 1)):
        yield from ((place, function(item)) for place, item in enumerate(items))
        return
    from joblib import Parallel, delayed, parallel_config

    options: dict[str, Any] = {"backend": "loky", "n_jobs": min(jobs, len(items)), "inner_max_num_threads": 1}
    if scheduler is not None:
        check_cluster(scheduler)
        options = {"backend": "dask", "scheduler_host": scheduler, "n_jobs": -1}
    with parallel_config(**options):
        parallel = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        results = parallel(delayed(_in_worker)(function, place, item) for place, item in enumerate(items))
        yield from results


def workers_of(jobs: int, scheduler: str | None) -> int:
    """Return how many trainings run at the same time."""
    return jobs if scheduler is None else check_cluster(scheduler)


def check_cluster(scheduler: str) -> int:
    """Return the number of workers of a cluster.

    Raises:
        BadInputError: If there is no scheduler at the address, it has no workers, or one of several threads: torch's
            random numbers belong to a process.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInputError("--scheduler needs a library: pip install distributed") from error
    try:
        with Client(scheduler, timeout=10, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            threads = client.nthreads()
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"--scheduler must be the address of a Dask scheduler. Got {scheduler!r}: {error}"
        ) from error
    if not threads or any(count != 1 for count in threads.values()):
        raise BadInputError(
            "--scheduler must have workers of one thread each, as `dask worker --nthreads 1 --nworkers 2` starts them. "
            f"Got {sorted(threads.values())} threads at {scheduler!r}."
        )
    return len(threads)


def _in_worker(function: Callable[[Item], Result], place: int, item: Item) -> tuple[int, Result]:
    # Ctrl-C reaches all processes of a terminal; the first process ends the others.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return place, function(item)
