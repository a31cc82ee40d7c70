import pytest
import torch
from block_fits import OPTIMIZERS, fit, plain_loop, train_loss
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    StochasticWeightAveraging,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from small_net import Data, Net, same_weights, tensors
from torch.optim import SGD
from torch.utils.data import TensorDataset

from blockstep.blocks.block import Block
from blockstep.blocks.loader import BlockLoader
from blockstep.blocks.refusals import refuse_what_needs_single_steps
from blockstep.blocks.training import BlockTraining, take_steps, take_steps_together

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_mean_loss_is_logged_at_the_last_step_of_each_epoch(tmp_path):
    logger = CSVLogger(tmp_path)
    fit(tmp_path, logger=logger)
    rows = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["10", "21", "32"]


def test_stochastic_weight_averaging_averages_as_in_plain_training(tmp_path):
    nets = [
        fit(tmp_path, data=Data(block_size=k), callbacks=[StochasticWeightAveraging(0.05, 2)], max_epochs=5)[1]
        for k in (0, 1)
    ]
    assert same_weights(*nets)


@pytest.mark.parametrize("make", [None, OPTIMIZERS["adam"]])
def test_gradient_clipping_equals_the_plain_loop(tmp_path, make):
    *_, probe = fit(tmp_path, Net(make), gradient_clip_val=0.05)
    assert probe.losses == plain_loop(make=make, clip=0.05)[0]


@pytest.mark.parametrize("make", [None, OPTIMIZERS["adam"]])
def test_bfloat16_mixed_precision_equals_plain_training(tmp_path, make):
    losses = [fit(tmp_path, Net(make), Data(block_size=k), precision="bf16-mixed")[2].losses for k in (0, 1)]
    assert losses[0] == losses[1]


def test_mixed_precision_that_scales_losses_is_refused():
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.precision_plugin.precision = "16-mixed"  # which wants an accelerator of its own to be set up
    net = Net()
    net.trainer = trainer
    with pytest.raises(MisconfigurationException, match="precision='16-mixed'"):
        refuse_what_needs_single_steps(net)


def test_double_precision_equals_the_plain_loop(tmp_path):
    *_, probe = fit(tmp_path, precision="64-true")
    assert probe.losses == plain_loop(dtype=torch.float64)[0]


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"accumulate_grad_batches": 2}, "accumulate_grad_batches=2"),
        ({"callbacks": [GradientAccumulationScheduler({0: 3})]}, "accumulate_grad_batches=3"),
        ({"net": Net(torch.optim.LBFGS)}, "torch.optim.LBFGS"),
        ({"callbacks": [EMAWeightAveraging()]}, "the callback EMAWeightAveraging"),
        ({"net": Net(norm=True), "callbacks": [StochasticWeightAveraging(0.1)]}, "batch norm"),
    ],
)
def test_what_needs_single_steps_is_refused_with_what_to_do(tmp_path, options, setting):
    with pytest.raises(MisconfigurationException, match=f"{setting}.*: switch it off, or set data.block_size to 1"):
        fit(tmp_path, **options)


@pytest.mark.parametrize(
    "options",
    [{"accumulate_grad_batches": 2}, {"net": Net(torch.optim.LBFGS)}],
)
def test_block_size_one_trains_where_blocks_are_refused(tmp_path, options):
    trainer, *_ = fit(tmp_path, data=Data(block_size=1), **options)
    assert trainer.global_step > 0


@pytest.mark.parametrize("block_size", [0, 1])
def test_the_hooks_around_a_single_step_run_without_blocks_only(tmp_path, block_size):
    seen = []

    class Hooks(Callback):
        def on_before_zero_grad(self, *args):
            seen.append("zero_grad")

        def on_after_backward(self, *args):
            seen.append("backward")

        def on_before_optimizer_step(self, *args):
            seen.append("step")

    fit(tmp_path, data=Data(block_size=block_size), callbacks=[Hooks()], max_epochs=1)
    assert seen == (["zero_grad", "backward", "step"] * 11 if block_size == 1 else [])


def test_the_progress_bar_counts_steps(tmp_path):
    seen = []

    class Bar(TQDMProgressBar):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append((self.train_progress_bar.n, self.train_progress_bar.total))

    fit(tmp_path, callbacks=[Bar()])
    assert seen == [(11, 11)] * 3


def test_batch_hooks_get_the_number_of_the_blocks_last_step(tmp_path):
    *_, probe = fit(tmp_path, data=Data(block_size=4), max_epochs=1)
    assert probe.last_steps == [3, 7, 10]


@pytest.mark.parametrize("block_size", [1, 4])
def test_the_trainer_knows_the_last_batch_of_an_epoch(tmp_path, block_size):
    known = []

    class Listener(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.is_last_batch:
                known.append(batch_idx)

    fit(tmp_path, data=Data(block_size=block_size), callbacks=[Listener()])
    assert known == [10, 10, 10]


def test_a_loader_that_was_resumed_has_the_next_epoch_whole():
    loader = BlockLoader(TensorDataset(*tensors()), 10, Trainer(logger=False, enable_checkpointing=False))
    loader.load_state_dict({"epoch": 0, "position": 8})
    assert [sum(block.steps for block in loader) for _ in range(2)] == [3, 11]


@pytest.mark.parametrize("size", [4, 11])
def test_the_fast_way_of_plain_sgd_equals_the_general_way(tmp_path, size):
    fast, general = Net(), Net(lambda p: SGD([{"params": p[:1]}, {"params": p[1:]}], lr=0.1))
    for net in (fast, general):
        fit(tmp_path, net, Data(block_size=size))
    assert same_weights(fast, general)


def test_an_engine_of_ones_own_takes_the_steps(tmp_path):
    net, taken = Net(), []

    def engine(module, optimizer, block):
        taken.append(block.steps)
        return take_steps(module, optimizer, block)

    net.engine = engine
    fit(tmp_path, net)
    assert sum(taken) == 33


def test_a_weight_that_the_loss_does_not_use_stays_as_it_is(tmp_path):
    net = Net()
    net.unused = torch.nn.Parameter(torch.ones(3))
    fit(tmp_path, net)
    assert torch.equal(net.unused, torch.ones(3))


@pytest.mark.parametrize(("rule", "options"), [("batch_size", {"batch_size": 0}), ("block_size", {"block_size": -1})])
def test_a_number_out_of_range_is_refused_by_its_name(tmp_path, rule, options):
    with pytest.raises(ValueError, match=f"{rule} must be"):
        fit(tmp_path, data=Data(**options))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 10])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_two_devices_reach_the_weights_of_one(tmp_path, batch_size, clip):
    net, options = Net(OPTIMIZERS["momentum"]), {"devices": 2, "strategy": "ddp_fork", "gradient_clip_val": clip}
    fit(tmp_path, net, Data(batch_size, shuffle=False), **options)
    one = plain_loop(batch_size, OPTIMIZERS["momentum"], clip=clip)[1]
    # Summed on two devices, gradients are rounded otherwise; how far that leads depends on the processor.
    two, one, start = (torch.nn.utils.parameters_to_vector(n.parameters()) for n in (net, one, Net()))
    assert (two - one).norm() < 0.01 * (one - start).norm()


@pytest.mark.slow
def test_two_devices_log_the_mean_loss_of_one(tmp_path):
    two, *_ = fit(tmp_path, devices=2, strategy="ddp_fork")
    one, *_ = fit(tmp_path)
    assert train_loss(two) == pytest.approx(train_loss(one), rel=1e-3)


def test_steps_taken_together_by_one_device_equal_the_plain_loop(tmp_path):
    net = Net()
    net.engine = take_steps_together
    *_, probe = fit(tmp_path, net, Data(7), gradient_clip_val=0.05)
    assert probe.losses == pytest.approx(plain_loop(7, clip=0.05)[0], rel=1e-3)


def test_a_block_goes_to_another_device_whole_and_is_itself_on_its_own():
    block = Block(tensors(), 10)
    assert block.to(torch.device("cpu")) is block
    moved = block.to(torch.device("meta"))
    assert [tensor.device.type for tensor in moved.tensors] == ["meta", "meta"]
    assert moved.batch_size == 10


def test_a_module_without_a_loss_says_what_to_define():
    with pytest.raises(NotImplementedError, match="BlockTraining must define batch_loss"):
        BlockTraining().batch_loss(())
