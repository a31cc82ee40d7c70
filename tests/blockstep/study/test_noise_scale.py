import csv
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from block_fits import fit
from engines import each_engine, if_compiled
from lightning.pytorch import Callback, LightningModule
from small_net import ROWS, Data, Net, same_weights, tensors
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from torch.utils.data import DataLoader, TensorDataset

from blockstep.base.errors import BadInputError
from blockstep.study import gradient_noise as machinery
from blockstep.study.gradient_noise import Noise, gradient_noise
from blockstep.study.noise_scale import DESCRIPTIONS, NoiseScale, read_noise

ASKED = "--trainer.callbacks+=blockstep.study.noise_scale.NoiseScale"
BY_STEP = {"blocks": ("eager", 0), "single steps": ("eager", 1)}
ENGINES = [pytest.param(*value, id=name) for name, value in BY_STEP.items()]
ENGINES += [pytest.param("compiled", 0, id="compiled", marks=if_compiled)]


def gradients(net, events):
    """The gradients of single events, one after the other, shape (events, parameters)."""
    weights = list(net.parameters())
    batches = zip(*(tensor.split(1) for tensor in events), strict=True)
    each = [torch.autograd.grad(net.batch_loss(batch), weights) for batch in batches]
    return torch.stack([torch.cat([gradient.flatten() for gradient in one]) for one in each]).double()


def slow_noise(net, events):
    """The trace of the covariance, and the squared mean, by their definitions."""
    g = gradients(net, events)
    return g.sub(g.mean(0)).square().sum(1).mean().item(), g.mean(0).square().sum().item()


DUE = [0, 1, 2, 5, 10, 22, 46]
"""Steps of three points a decade."""


class SlowNoise(Callback):
    """Measures the noise at the ends of blocks that are due."""

    def __init__(self):
        self.found = {}

    def on_train_start(self, trainer, pl_module):
        self.on_train_batch_end(trainer, pl_module)

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step in DUE:
            self.found[trainer.global_step] = slow_noise(pl_module, tensors())


def train(tmp_path, engine="eager", block_size=0, callbacks=(), **options):
    net = Net()
    if engine == "compiled":
        from blockstep.compiled.engine import CompiledEngine

        net.engine = CompiledEngine()
        callbacks = [net.engine, *callbacks]
    *_, probe = fit(tmp_path, net, Data(7, shuffle=True, block_size=block_size), callbacks=callbacks, **options)
    return net, probe


@pytest.mark.parametrize(("engine", "block_size"), ENGINES)
def test_the_noise_equals_that_of_a_slow_loop_over_the_events(tmp_path, engine, block_size):
    noise, slow = NoiseScale(per_decade=3), SlowNoise()
    train(tmp_path, engine, block_size, [noise, slow])
    assert [point.step for point in noise.measured] == DUE
    for step, trace, squared_gradient in noise.measured:
        assert (trace, squared_gradient) == pytest.approx(slow.found[step], rel=1e-4)


@pytest.mark.parametrize(("engine", "block_size"), ENGINES)
def test_the_training_is_the_same_bit_for_bit_with_the_noise_and_without(tmp_path, engine, block_size):
    (one, with_noise), (other, without) = (
        train(tmp_path, engine, block_size, callbacks) for callbacks in ([NoiseScale()], [])
    )
    assert same_weights(one, other)
    assert with_noise.losses == without.losses


def test_the_scale_is_the_ratio(tmp_path):
    noise = NoiseScale()
    train(tmp_path, callbacks=[noise])
    for point in noise.measured:
        assert point.scale == point.trace / point.squared_gradient


def test_estimates_from_some_of_the_events_are_right_on_average():
    net, population = Net(), tensors(9)
    chosen = [tuple(tensor[list(rows)] for tensor in population) for rows in combinations(range(9), 4)]
    found = torch.tensor([gradient_noise(net, events, population=9) for events in chosen], dtype=torch.float64)
    assert found.mean(0).tolist() == pytest.approx(slow_noise(net, population), rel=1e-5)


def test_estimates_for_endless_events_are_those_of_mccandlish():
    net, n = Net(), 50
    g = gradients(net, tensors(n))
    small, big = g.square().sum(1).mean().item(), g.mean(0).square().sum().item()
    expected = ((small - big) / (1 - 1 / n), (n * big - small) / (n - 1))  # eqs. A.3 and A.2
    assert gradient_noise(net, tensors(n), population=10**12) == pytest.approx(expected, rel=1e-5)


def test_what_is_not_positive_makes_the_scale_infinite():
    assert Noise(1, 2.0, -1.0).scale == math.inf
    assert math.isnan(Noise(1, math.nan, math.nan).scale)


def test_parts_of_the_events_give_the_same_as_all_at_once(monkeypatch):
    net, events = Net(), tensors()
    whole = gradient_noise(net, events, ROWS)
    monkeypatch.setattr(machinery, "NUMBERS_TOGETHER", 4 * sum(p.numel() for p in net.parameters()))
    assert gradient_noise(net, events, ROWS) == pytest.approx(whole, rel=1e-6)


def test_a_parameter_that_is_not_trained_counts_for_nothing():
    net = Net()
    net.net[0].weight.requires_grad_(False)
    trained = [p for p in net.parameters() if p.requires_grad]
    each = [
        torch.autograd.grad(net.batch_loss(row), trained) for row in zip(*(t.split(1) for t in tensors()), strict=True)
    ]
    squares = sum(g.double().square().sum().item() for one in each for g in one)
    assert sum(gradient_noise(net, tensors(), ROWS)) == pytest.approx(squares / ROWS, rel=1e-5)


SAID = {2048: "all 110 training events", 110: "all 110 training events", 50: "50 of the 110 training events"}


@pytest.mark.parametrize(("events", "said"), SAID.items())
def test_which_events_are_used_is_said(tmp_path, capsys, events, said):
    train(tmp_path, callbacks=[NoiseScale(events)], max_steps=1)
    assert f"noise scale: from the gradients of {said}\n" in capsys.readouterr().out


def test_the_events_drawn_are_the_same_each_time(tmp_path):
    one, other = NoiseScale(20), NoiseScale(20)
    train(tmp_path, callbacks=[one])
    torch.manual_seed(7)
    train(tmp_path, callbacks=[other])
    assert one.measured == other.measured


def test_double_precision_is_measured_in_double_precision(tmp_path):
    noise, slow = NoiseScale(), NoiseScale()
    train(tmp_path, callbacks=[noise], precision="64-true", max_steps=1)
    train(tmp_path, callbacks=[slow], max_steps=1)
    assert noise.measured[1][1:] == pytest.approx(slow.measured[1][1:], rel=1e-4)


def test_accumulated_gradients_make_a_step_of_several_batches(tmp_path):
    noise = NoiseScale(per_decade=3)
    train(tmp_path, block_size=1, callbacks=[noise], accumulate_grad_batches=4)
    assert [point.step for point in noise.measured] == [0, 1, 2, 5, 10]


@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_a_loss_of_several_events_together_is_reported_and_trained_as_without(tmp_path, capsys):
    nets = []
    for callbacks in ([NoiseScale()], []):
        net = Net(norm=True)  # which has no gradient of a single event
        fit(tmp_path, net, callbacks=callbacks)
        nets.append(net)
    assert "NoiseScale.on_train_start failed: " in capsys.readouterr().err
    assert all(torch.equal(a, b) for a, b in zip(*(net.state_dict().values() for net in nets), strict=True))


class Slope(LightningModule):
    """A line through the origin, without a `batch_loss`."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.line(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_module_without_the_loss_of_a_batch_is_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"BlockTraining and its BlockLoader.* Got Slope and DataLoader instead"):
        fit(tmp_path, Slope(), DataLoader(TensorDataset(*tensors())), callbacks=[NoiseScale()])


@pytest.mark.parametrize("options", [{"events": 1}, {"per_decade": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"must be at least \d\. Got"):
        NoiseScale(**options)


STATES = [
    {},
    {"measured": 3},
    {"measured": [[1, 2.0]]},
    {"measured": [[-1, 2.0, 3.0]]},
    {"measured": [["1", 2.0, 3.0]]},
]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_that_is_something_else_is_refused(state):
    with pytest.raises(BadInputError, match=r"callbacks\.NoiseScale\.measured\. Got"):
        NoiseScale().load_state_dict(state)


def rows(name="run"):
    with Path(f"runs/{name}/version_0/metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("noise/scale")]


@each_engine
def test_the_noise_is_in_the_table_and_in_described_curves(engine, example):
    assert example("fit", ASKED, "--trainer.callbacks.per_decade=1", f"--model.engine={engine}") == 0
    assert [int(row["step"]) + 1 for row in rows()] == [0, 1, 10, 100]
    assert [float(row["noise/scale"]) for row in rows()] == pytest.approx(
        [float(row["noise/trace"]) / float(row["noise/squared_gradient"]) for row in rows()]
    )
    events = PluginAccumulator("runs/run/version_0").Reload()
    for tag, description in DESCRIPTIONS.items():
        assert events.SummaryMetadata(tag).summary_description == description
    scalars = EventAccumulator("runs/run/version_0").Reload()
    assert [point.step for point in scalars.Scalars("noise/scale")] == [0, 10, 100, 1000]


def test_the_noise_that_a_run_has_logged_can_be_read(example):
    assert example("fit", ASKED) == 0
    saved = torch.load("runs/run/version_0/checkpoints/last.ckpt", weights_only=True)["callbacks"]["NoiseScale"]
    assert [list(noise) for noise in read_noise(Path("runs/run/version_0/metrics.csv"))] == saved["measured"]


def test_a_run_is_without_the_noise_unless_it_is_asked_for(example):
    assert example("fit") == 0
    assert rows() == []


def test_a_resumed_run_has_the_noise_of_an_uninterrupted_one(example):
    assert example("fit", ASKED, "--name=whole") == 0
    assert example("fit", ASKED, "--trainer.max_steps=20") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_steps=-1") == 0
    keys = ("step", *DESCRIPTIONS)
    whole, resumed = ([[row[key] for key in keys] for row in rows(name)] for name in ("whole", "run"))
    assert whole == resumed
    last = [torch.load(f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "run")]
    assert last[0]["callbacks"]["NoiseScale"] == last[1]["callbacks"]["NoiseScale"]
    assert len(last[0]["callbacks"]["NoiseScale"]["measured"]) == len(whole)
