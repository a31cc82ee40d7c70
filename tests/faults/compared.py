"""Whether two runs are the same run."""

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from batchlab.checkpoint import read_checkpoint
from batchlab.loggers import read_rows


def state(folder):
    """What decides how a run goes on: weights, optimizer, schedulers, random states, counts."""
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "block_training")
    kept = {key: checkpoint[key] for key in keys}
    return kept | {"random": checkpoint["callbacks"]["ExactResume"]}


def table(folder):
    """The logged rows, without the times."""
    rows = read_rows(folder / "metrics.csv")
    return [{key: value for key, value in row.items() if value and key != "time/epoch_sec"} for row in rows]


def curves(folder):
    """TensorBoard's scalars by tag, as its own reader gives them; of times only the steps."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, None if tag.startswith("time") else event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def assert_same(one, other):
    """Both folders hold the same run, bit for bit."""
    assert_equal(state(one), state(other))
    assert table(one) == table(other)
    assert curves(one) == curves(other)


def assert_equal(one, other, where="checkpoint"):
    """Nested containers of equal values; tensors are equal and not the same object."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one is not other, where
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}[{i}]")
    else:
        assert one == other, where
