from importlib.util import find_spec
from pathlib import Path

import pytest
from event_reader import read

FEW = ("--data.num_training=100", "--data.num_validation=10")


def curve(name="run"):
    return [(point.step, point.value) for point in read(name).Scalars("train/loss")]


@pytest.mark.parametrize("block_size", ["0", "1"])
def test_the_curve_of_mean_losses_starts_with_the_first_batch(block_size, example):
    words = (*FEW, f"--data.block_size={block_size}")
    assert example("fit", *words, "--trainer.limit_train_batches=1", "--name=first") == 0
    assert example("fit", *words, "--trainer.max_epochs=2") == 0
    (_, loss), (_, mean) = curve("first")
    assert loss == mean
    (start, first), *means = curve()
    assert (start, first) == (0, loss)
    assert [step for step, _ in means] == [100, 200]


@pytest.mark.skipif(find_spec("blockstep.tensorboard.loss_curve") is None, reason="the loss curve has been deleted")
def test_a_loss_that_is_accumulated_is_drawn_as_it_is(example):
    words = (*FEW, "--data.block_size=1")
    for name, count in (("one", 1), ("two", 2)):
        assert example("fit", *words, f"--name={name}", f"--trainer.accumulate_grad_batches={count}") == 0
    assert curve("one")[0] == curve("two")[0]
    for name in ("one", "two"):
        steps, last = (read(name).Scalars(f"train/{tag}") for tag in ("step_loss", "last_batch_loss"))
        assert steps[0].value == curve(name)[0][1]
        assert steps[-1].value == last[0].value


def test_a_run_resumed_in_its_first_epoch_has_the_start_of_an_uninterrupted_one(example):
    assert example("fit", *FEW, "--name=whole") == 0
    assert example("fit", *FEW, "--trainer.max_steps=5") == 0
    for path in Path("runs/run/version_0").glob("events*"):  # as if it was killed before the point was written
        path.unlink()
    assert example("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    assert curve() == curve("whole")
