"""What in a checkpoint must agree: without it, one that was changed in one of two places would be gone on from."""

from typing import Any


def check_agreement(checkpoint: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise ValueError, naming the key, if entries of a checkpoint contradict each other.

    Args:
        checkpoint: It holds what it must.
        ours: What is added to Lightning's own entries.
    """
    _check_counts(checkpoint, ours["batches"])
    _check_nothing_is_gone(checkpoint, ours)


def saved_states(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return how many states a checkpoint holds: values of each callback, parameters of each optimizer, and loaders."""
    return {
        "callbacks": {name: len(state) for name, state in checkpoint["callbacks"].items()},
        "optimizer_states": [len(states.get("state", ())) for states in checkpoint["optimizer_states"]],
        "loaders": len(checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", ())),
    }


def _check_counts(checkpoint: dict[str, Any], batches: int | None) -> None:
    """Compare what is saved twice: Lightning goes on from the loops, and everything else reads the other."""
    loop = checkpoint["loops"]["fit_loop"]
    epochs = loop["epoch_progress"]["current"]["completed"]
    steps = [
        loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"],
        loop["epoch_loop.manual_optimization.optim_step_progress"]["total"]["completed"],
    ]
    if checkpoint["epoch"] != epochs:
        raise ValueError(f"epoch must be that of loops.fit_loop, {epochs}. Got {checkpoint['epoch']}")
    if checkpoint["global_step"] not in steps:
        raise ValueError(f"global_step must be that of loops.fit_loop, {max(steps)}. Got {checkpoint['global_step']}")
    for name in ("epoch_progress", "epoch_loop.batch_progress"):
        _check_order(loop[name], f"loops.fit_loop.{name}")
    _check_batches(loop, batches)


def _check_order(progress: dict[str, Any], key: str) -> None:
    """Raise ValueError if more was completed than started, or more in the current run of a loop than in all."""
    for counts in (progress["total"], progress["current"]):
        stages = [counts[stage] for stage in ("ready", "started", "processed", "completed")]
        if stages != sorted(stages, reverse=True):
            raise ValueError(f"{key} must have ready, started, processed and completed in falling order. Got {stages}")
    for stage, count in progress["current"].items():
        if count > progress["total"][stage]:
            raise ValueError(f"{key}.current.{stage} must be at most the total. Got {count}")


def _check_batches(loop: dict[str, Any], batches: int | None) -> None:
    """Raise ValueError if the batches of the epoch, the position of the loader and the end of the epoch disagree."""
    progress = loop["epoch_loop.batch_progress"]
    done = progress["current"]["ready"]
    for state in loop["state_dict"].get("combined_loader", ()):
        position = state.get("position") if isinstance(state, dict) and state.keys() == {"epoch", "position"} else None
        # Between two epochs the loader is at the start of the next one.
        if type(position) is int and position != done and not progress["is_last_batch"]:
            raise ValueError(f"loops.fit_loop.epoch_loop.batch_progress must be at {position} batches. Got {done}")
    if batches is not None and progress["is_last_batch"] != (done >= batches):
        raise ValueError(
            f"loops.fit_loop.epoch_loop.batch_progress.is_last_batch must be {done >= batches} after {done} of "
            f"{batches} batches"
        )


def _check_nothing_is_gone(checkpoint: dict[str, Any], before: dict[str, Any]) -> None:
    """Compare with the list of what was saved: without a state, training would go on, and not as before."""
    now = saved_states(checkpoint)
    _check_callbacks(before["callbacks"], now["callbacks"])
    if now["optimizer_states"] != list(before["optimizer_states"]):
        raise ValueError(
            f"optimizer_states must be of {before['optimizer_states']} parameters, as many as were saved. "
            f"Got {now['optimizer_states']}"
        )
    if now["loaders"] != before["loaders"]:
        raise ValueError(
            f"loops.fit_loop.state_dict.combined_loader must have {before['loaders']} entries. Got {now['loaders']}"
        )
    if "ExactResume" in now["callbacks"] and "callback_metrics" not in checkpoint:
        raise ValueError("callback_metrics must be there")


def _check_callbacks(before: dict[str, int], now: dict[str, int]) -> None:
    for name, values in before.items():
        if name not in now:
            raise ValueError(f"callbacks.{name} must be there")
        if now[name] != values:
            raise ValueError(f"callbacks.{name} must have {values} keys. Got {now[name]}")
