from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from small_net import Data, Net
from torch.optim import SGD, Adam, lr_scheduler

from blockstep.base.errors import BadInputError
from blockstep.checkpoints.comparison import CompareContents, check_optimizer, check_scheduler
from blockstep.checkpoints.likeness import Likeness

pytestmark = pytest.mark.filterwarnings("ignore")

ALIKE = Likeness(same_keys=True, same_precision=True)
TORCH = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
}
OPTIONS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "AdamW": {"amsgrad": True, "lr": torch.tensor(0.01), "foreach": False},
    "Adam": {"fused": True},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Rprop": {"lr": 0.01},
}


class Sparse(torch.nn.Module):
    """An embedding, the gradients of which are sparse."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(5, 3, sparse=True)

    def forward(self):
        return self.table(torch.tensor([1, 2])).square().sum()


class Dense(torch.nn.Module):
    """Two matrices, and one that is not used."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.unused = (torch.nn.Parameter(torch.rand(3, size)) for size in (2, 4, 5))

    def forward(self):
        return (self.a.t() @ self.b).square().sum()


def stepped(name, steps):
    """An optimizer of a class of torch after some steps."""
    module = Sparse() if name == "SparseAdam" else Dense()
    optimizer = TORCH[name](module.parameters(), **OPTIONS.get(name, {}))

    def closure():
        optimizer.zero_grad()
        loss = module()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return optimizer


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("name", TORCH)
def test_what_an_optimizer_of_torch_has_saved_is_accepted(name, steps):
    check_optimizer(stepped(name, steps).state_dict(), stepped(name, 0), ALIKE, "it")


@pytest.mark.parametrize("name", TORCH)
def test_a_key_that_an_optimizer_of_torch_does_not_save_is_refused(name):
    saved = stepped(name, 1).state_dict()
    saved["state"].setdefault(0, {})["another"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"it.state.0 must have the keys"):
        check_optimizer(saved, stepped(name, 0), ALIKE, "it")


@pytest.mark.parametrize("name", TORCH)
def test_every_tensor_that_an_optimizer_of_torch_saves_must_have_its_shape(name):
    for key, value in stepped(name, 1).state_dict()["state"][0].items():
        if isinstance(value, torch.Tensor):
            saved = stepped(name, 1).state_dict()
            saved["state"][0][key] = torch.zeros(7, 7, 7)
            with pytest.raises(ValueError, match=f"it.state.0.{key} must be a"):
                check_optimizer(saved, stepped(name, 0), ALIKE, "it")


def sgd():
    return SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1, momentum=0.9)


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 20),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "ReduceLROnPlateau, max": lambda o: lr_scheduler.ReduceLROnPlateau(o, "max", patience=0),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.1), lr_scheduler.ExponentialLR(o, 0.9)], milestones=[2]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.StepLR(o, 1)]
    ),
}


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_what_a_scheduler_of_torch_has_saved_is_accepted(make, steps):
    optimizer = sgd()
    scheduler = make(optimizer)
    for step in range(steps):
        optimizer.step()
        scheduler.step(*([-1.0 - step] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
    new = sgd()
    check_scheduler(scheduler.state_dict(), make(new), ALIKE, "it")
    check_optimizer(optimizer.state_dict(), new, ALIKE, "it")


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
def test_an_attribute_that_a_scheduler_of_torch_does_not_save_is_refused(make):
    state = {**make(sgd()).state_dict(), "optimizer": 1}
    with pytest.raises(ValueError, match=r"it must have the keys .* alone. Got 'optimizer' too"):
        check_scheduler(state, make(sgd()), ALIKE, "it")


def chained(optimizer):
    return lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(optimizer), lr_scheduler.StepLR(optimizer, 3)])


def test_a_number_by_which_a_scheduler_divides_is_not_0():
    state = chained(sgd()).state_dict()
    state["_schedulers"][1]["step_size"] = 0
    with pytest.raises(ValueError, match=r"it._schedulers.1.step_size must be more than 0. Got 0"):
        check_scheduler(state, chained(sgd()), ALIKE, "it")


class Lazy(Adam):
    """An optimizer of a project's own, with a state that begins at the second step, and an argument that it changes."""

    def __init__(self, parameters, *, base, **options):
        super().__init__(parameters, **options)
        self.base = base

    def step(self, closure=None):
        for state in self.state.values():
            state["before"] = state["exp_avg"].norm()
        self.param_groups[0]["warm"] = True
        return super().step(closure)


def test_what_an_optimizer_of_ones_own_saves_later_is_accepted():
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = Lazy([parameter], base=SGD)
    for _ in range(2):
        parameter.grad = torch.ones(2)
        optimizer.step()
    check_optimizer(optimizer.state_dict(), Lazy([torch.nn.Parameter(torch.zeros(2))], base=SGD), ALIKE, "it")


def test_an_optimizer_of_ones_own_has_no_rate_that_is_not_a_number():
    optimizer = Lazy([torch.nn.Parameter(torch.zeros(2))], base=SGD)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = float("nan")
    with pytest.raises(ValueError, match=r"param_groups.0.lr must be a finite number"):
        check_optimizer(saved, optimizer, ALIKE, "it")


FINETUNED = """
import torch
from example.model import Classifier


class Finetuned(Classifier):
    def __init__(self):
        super().__init__()
        self.backbone = self.network[0]

    def configure_optimizers(self):
        optimizer = torch.optim.Adam([p for p in self.parameters() if p.requires_grad])
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}
"""


def test_a_run_goes_on_with_the_parameters_that_a_callback_has_added_to_its_optimizer(example):
    Path("finetuned.py").write_text(FINETUNED)
    words = ("--model=finetuned.Finetuned", "--data.block_size=1", "--data.batch_size=100", "--trainer.max_epochs=2")
    words = (*words, "--trainer.callbacks+=BackboneFinetuning", "--trainer.callbacks.unfreeze_backbone_at_epoch=1")
    assert example("fit", *words) == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=3") == 0


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_a_run_goes_on_from_weights_of_its_own_precision(precision, example):
    words = ("--data.num_validation=50", "--data.batch_size=100", f"--trainer.precision={precision}")
    assert example("fit", *words, "--data.block_size=1", "--model.optimizer=Adam") == 0
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 0


def test_a_run_may_go_on_in_another_precision(example):
    words = ("--data.num_validation=50", "--data.batch_size=100", "--model.optimizer=Adam", "--data.block_size=1")
    assert example("fit", *words) == 0
    more = ("--trainer.max_epochs=2", "--trainer.precision=64-true", "--allow_changes=true")
    assert example("fit", "--ckpt_path=last", *more) == 0


def test_a_run_of_plain_lightning_with_the_callback_is_compared_too(tmp_path):
    def fit(optimizer, checkpoint=None):
        trainer = Trainer(
            max_epochs=2 if checkpoint else 1,
            callbacks=[CompareContents()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            accelerator="cpu",
        )
        trainer.fit(Net(optimizer), Data(), ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / "last.ckpt")

    fit(lambda parameters: SGD(parameters, lr=0.1, momentum=0.9))
    with pytest.raises(BadInputError, match=r"optimizer_states.0.param_groups.0 must have the keys"):
        fit(Adam, tmp_path / "last.ckpt")
    fit(lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), tmp_path / "last.ckpt")
