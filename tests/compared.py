"""Whether two runs are equal."""

import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from blockstep.checkpoints.checkpoint_file import KEY, read_checkpoint
from blockstep.runs.csv_logger import read_rows


def state(path):
    """A checkpoint without its provenance, and without paths, which differ between the compared folders."""
    checkpoint = read_checkpoint(path)
    for saved in checkpoint["callbacks"].values():
        for key in [key for key in saved if "path" in key or key == "best_k_models"]:
            del saved[key]
    del checkpoint[KEY]
    return checkpoint


def table(folder):
    """The logged rows, without the times."""
    rows = read_rows(folder / "metrics.csv")
    return [{key: value for key, value in row.items() if value and key != "time/epoch_sec"} for row in rows]


def charts(folder):
    """Curves and texts by tag, as TensorBoard reads them; of times only the steps."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith(("train", "val", "time", "run/about"))]
    return {
        tag: [
            (event.step, None if tag.startswith("time") else event.tensor_proto.SerializeToString())
            for event in events.Tensors(tag)
        ]
        for tag in tags
    }


def assert_same(one, other):
    """The folders hold runs that are equal, bit for bit."""
    files = sorted(path.name for path in (one / "checkpoints").iterdir())
    assert files == sorted(path.name for path in (other / "checkpoints").iterdir())
    for name in files:
        assert_equal(state(one / "checkpoints" / name), state(other / "checkpoints" / name), name)
    assert table(one) == table(other)
    ours, theirs = charts(one), charts(other)
    assert ours.keys() == theirs.keys()
    for tag in ours:
        assert [step for step, _ in ours[tag]] == [step for step, _ in theirs[tag]], tag
        assert ours[tag] == theirs[tag], tag


def assert_equal(one, other, where="checkpoint"):
    """Nested containers have equal values; tensors are equal and not the same object."""
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
