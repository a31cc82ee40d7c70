"""How a run ended: without it, the last line would be the loss of a single batch, which says little about a model."""

from collections import defaultdict
from collections.abc import Mapping
from math import isnan
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from blockstep.checkpoints.checkpoint_file import BEST
from blockstep.runs.csv_logger import MetricsTable, read_rows

EARLY = {
    EarlyStoppingReason.PATIENCE_EXHAUSTED: "{} did not improve in {checks}",
    EarlyStoppingReason.STOPPING_THRESHOLD: "{} has reached {stop}",
    EarlyStoppingReason.DIVERGENCE_THRESHOLD: "{} is worse than {divergence}",
    EarlyStoppingReason.NON_FINITE_METRIC: "{} is not a finite number",
}
"""Why early stopping has ended a training."""

Values = list[tuple[float, int]]
"""The values of a metric, each with its epoch."""


def summarize(trainer: Trainer, folder: Path | None, modes: Mapping[str, str], limit: float | None) -> list[str]:
    """Say how good a model is, why its training has stopped, and where its best checkpoint is.

    The values are read from the run's table, once: nothing is kept while it trains.

    Args:
        trainer: That of a fit that has ended.
        folder: The run's folder, if it has one.
        modes: The metrics by which a model may be judged, with "min" or "max"; it is judged by the first that it logs.
        limit: The value of the first of them that no model can beat, if it is known.

    Returns:
        A line for the metric, and one for the rest.
    """
    tables = [Path(logger.log_dir) / "metrics.csv" for logger in trainer.loggers if isinstance(logger, MetricsTable)]
    logged = _read(tables[0]) if tables else _last_values(trainer)
    tag = next((tag for tag in modes if tag in logged), None)
    monitor = next(iter(modes))
    if tag is None:
        quality = f"without {' or '.join(modes)}, how good the model is on other data is not known"
    else:
        quality = f"{tag}: {_best_and_last(logged[tag], modes[tag]) if tables else 'last ' + _show(logged[tag][-1])}"
        quality += f" (the limit is {limit:.4g})" if tag == monitor and limit is not None else ""
    judged = tag is not None and not all(isnan(value) for value, _ in logged[tag])
    return [quality, f"stopped: {why_stopped(trainer)}; {_checkpoint(folder, [BEST] * judged + ['last.ckpt'])}"]


def why_stopped(trainer: Trainer) -> str:
    """Say why a training has ended."""
    for callback in trainer.callbacks if trainer.should_stop else []:  # type: ignore[attr-defined] # set elsewhere
        if isinstance(callback, EarlyStopping) and callback.stopping_reason in EARLY:
            return f"early stopping, since {_in_words(callback)}"
        if isinstance(callback, Timer) and (remaining := callback.time_remaining()) is not None and remaining <= 0:
            return "the time of trainer.max_time has passed"
    for name, most, done in (
        ("step", trainer.max_steps, trainer.global_step),
        ("epoch", trainer.max_epochs, trainer.current_epoch),
    ):
        if most is not None and 0 <= most <= done:
            return f"its one {name} is done" if most == 1 else f"all {most} {name}s are done"
    return "the model or a callback has asked for it"


def _in_words(callback: EarlyStopping) -> str:
    checks = "one check" if callback.wait_count == 1 else f"{callback.wait_count} checks"
    words = EARLY[callback.stopping_reason]
    return words.format(
        callback.monitor, stop=callback.stopping_threshold, divergence=callback.divergence_threshold, checks=checks
    )


def _read(table: Path) -> dict[str, Values]:
    values: dict[str, Values] = defaultdict(list)
    for row in read_rows(table):
        for tag, value in row.items():
            if value and row.get("epoch"):
                values[tag].append((float(value), int(float(row["epoch"]))))
    return values


def _last_values(trainer: Trainer) -> dict[str, Values]:
    return {tag: [(float(value), trainer.current_epoch - 1)] for tag, value in trainer.callback_metrics.items()}


def _best_and_last(values: Values, mode: str) -> str:
    sign = 1 if mode == "min" else -1
    if all(isnan(value) for value, _ in values):
        return "it was never a number"
    best, last = min(values, key=lambda pair: (isnan(pair[0]), sign * pair[0])), values[-1]
    if best == last:
        return _show(last) + (", the last and the best" if len(values) > 1 else "")
    return f"best {_show(best)}, last {_show(last)}"


def _show(pair: tuple[float, int]) -> str:
    return f"{pair[0]:.4g} in epoch {pair[1]}"


def _checkpoint(folder: Path | None, names: list[str]) -> str:
    for name in names:
        path = None if folder is None else folder / "checkpoints" / name
        if path is not None and path.is_file():
            return f"{path.stem} checkpoint: {path}"
    return "no checkpoint was kept"
