"""The compiled block against eager PyTorch.

The last digits depend on the processor, which adds up in an order of its own, and training amplifies them. So nothing
here is compared where rounding has no bound: single steps are judged by the same step in double precision, and longer
stretches have smooth activations. A ReLU whose input is within rounding of zero takes either side of its kink, which
changes a gradient by more than any bound on rounding.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from systems import needs_compiler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, Optimizer

from blockstep.compiled.block import CompiledBlock, unsupported
from blockstep.compiled.operations import UnsupportedError, literal

pytestmark = needs_compiler
LOSS_TOLERANCE = 5e-6  # relative
WEIGHT_TOLERANCE = 1e-6
EPSILON = torch.finfo(torch.float32).eps
LONGEST_PATH = 6 * 64  # terms that are added up from an event to a gradient, beside those of a batch

# Adam divides by the size of the gradient: where a gradient is nothing but rounding, so is its whole step, and eager
# itself leaves the float64 trajectory. A larger eps leaves the arithmetic as it is and takes that away.
OPTIMIZERS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"lr": 0.01}),
    (SGD, {"lr": 0.01, "weight_decay": 1e-2}),
    (SGD, {"lr": 0.01, "momentum": 0.9}),
    (SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    (SGD, {"lr": 0.01, "momentum": 0.8, "dampening": 0.3}),
    (Adam, {"lr": 1e-3, "eps": 1e-3}),
    (Adam, {"lr": 1e-3, "eps": 1e-3, "weight_decay": 1e-2}),
    (AdamW, {"lr": 1e-3, "eps": 1e-3}),
    (AdamW, {"lr": 1e-3, "eps": 1e-3, "betas": (0.8, 0.99), "weight_decay": 0.1}),
]


def events(count: int = 1100) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 2, generator=generator) * 10 - 5
    t = (torch.rand(count, 1, generator=generator) < torch.exp(-x.square().sum(1, keepdim=True) / 4)).float()
    return x, t


def network(activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(2, 64), activation()]
    for _ in range(4):
        layers += [nn.Linear(64, 64), activation()]
    return nn.Sequential(*layers, nn.Linear(64, 1), nn.Sigmoid())


def small(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 10), *middle, nn.Linear(10, 1))


ModelLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def bce(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    return functional.binary_cross_entropy(model(x), t)


def bce_of_logits(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(model(x), t)


def eager(model: nn.Module, optimizer: Optimizer, loss: ModelLoss, x: Tensor, t: Tensor, batch_size: int) -> Tensor:
    losses = []
    for first in range(0, len(x), batch_size):
        value = loss(model, x[first : first + batch_size], t[first : first + batch_size])
        optimizer.zero_grad()
        torch.autograd.backward(value)
        optimizer.step()
        losses.append(value.detach())
    return torch.stack(losses)


def compiled(model: nn.Module, optimizer: Optimizer, loss: ModelLoss, batch_size: int) -> CompiledBlock:
    x, t = events(batch_size)
    return CompiledBlock(model, optimizer, lambda *batch: loss(model, *batch), (x, t), say=lambda _: None)


def assert_agree(first: nn.Module, second: nn.Module, losses: Tensor, others: Tensor) -> None:
    torch.testing.assert_close(others, losses, rtol=LOSS_TOLERANCE, atol=1e-7)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert p.data_ptr() != q.data_ptr()
        torch.testing.assert_close(q, p, rtol=0, atol=WEIGHT_TOLERANCE)


class Judge:
    """Takes one step of a float32 model in double precision, and says how far rounding may lead away from it."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._model, self._optimizer = model, optimizer

    def step(self, x: Tensor, t: Tensor, slip: float = 0.0) -> tuple[float, list[Tensor]]:
        """The loss and the weights after the step, each gradient off by `slip` times the largest of its tensor."""
        model = copy.deepcopy(self._model).double()
        optimizer = type(self._optimizer)(model.parameters())
        optimizer.load_state_dict(copy.deepcopy(self._optimizer.state_dict()))
        loss = bce(model, x.double(), t.double())
        torch.autograd.backward(loss)
        for p in model.parameters():
            assert p.grad is not None
            p.grad += slip * p.grad.abs().max()
        optimizer.step()
        return loss.item(), [p.detach() for p in model.parameters()]

    def bounds(self, x: Tensor, t: Tensor, exact: list[Tensor]) -> list[float]:
        """How far each weight tensor may be from the exact one.

        A sum of n terms is off by n times epsilon at most, relative to the sum of their absolute values (Higham,
        Accuracy and Stability of Numerical Algorithms, section 3.1). So: what the optimizer makes of a gradient that
        is off by as much, to either side, and the rounding of the weight itself.
        """
        slip = (LONGEST_PATH + len(x)) * EPSILON
        moved = [self.step(x, t, sign * slip)[1] for sign in (-1, 1)]
        return [
            max((off - w).abs().max().item() for off in sides) + 2 * EPSILON * w.abs().max().item()
            for w, *sides in zip(exact, *moved, strict=True)
        ]


def relus_at_their_kink(model: nn.Sequential, x: Tensor) -> bool:
    """Whether rounding decides on which side a ReLU stands."""
    within = copy.deepcopy(model).double()
    inputs: list[Tensor] = []
    for layer in within:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach()))
    within(x.double())
    return any((h.abs().min() < LONGEST_PATH * EPSILON * h.abs().max()).item() for h in inputs)


def assert_step_is_right(twin: nn.Module, judge: Judge, x: Tensor, t: Tensor, run: Callable[[], Tensor]) -> None:
    loss, exact = judge.step(x, t)
    bounds = judge.bounds(x, t, exact)
    assert run().item() == pytest.approx(loss, rel=LOSS_TOLERANCE, abs=1e-7)
    for found, weight, bound in zip(twin.parameters(), exact, bounds, strict=True):
        assert (found.double() - weight).abs().max().item() <= bound


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 10, 1100])
@pytest.mark.parametrize(("kind", "settings"), OPTIMIZERS)
def test_every_step_of_every_optimizer_is_right(kind: Any, settings: dict[str, Any], batch_size: int) -> None:
    model = network()
    optimizer = kind(model.parameters(), **settings)
    block = compiled(model, optimizer, bce, batch_size)
    x, t = events()
    for first in range(0, min(len(x), 30 * batch_size), batch_size):
        part = x[first : first + batch_size], t[first : first + batch_size]
        judge = Judge(copy.deepcopy(model), copy.deepcopy(optimizer))
        assert_step_is_right(model, judge, *part, lambda part=part: block.run(*part))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 10])
def test_every_step_of_the_notebooks_network_is_right(batch_size: int) -> None:
    model = network(nn.ReLU)
    optimizer = SGD(model.parameters(), lr=0.01)
    block = compiled(model, optimizer, bce, batch_size)
    x, t = events()
    judged = 0
    for first in range(0, 60 * batch_size, batch_size):
        part = x[first : first + batch_size], t[first : first + batch_size]
        if relus_at_their_kink(model, part[0]):
            block.run(*part)
            continue
        judge = Judge(copy.deepcopy(model), copy.deepcopy(optimizer))
        assert_step_is_right(model, judge, *part, lambda part=part: block.run(*part))
        judged += 1
    assert judged >= 10


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), OPTIMIZERS)
def test_the_optimizers_state_is_what_torch_would_have_kept(kind: Any, settings: dict[str, Any]) -> None:
    model, twin = network(), network()
    optimizer, twins = kind(model.parameters(), **settings), kind(twin.parameters(), **settings)
    eager(model, optimizer, bce, *events(105), 10)
    compiled(twin, twins, bce, 10).run(*events(105))
    expected, found = optimizer.state_dict(), twins.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    torch.testing.assert_close(found["state"], expected["state"], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "settings"), OPTIMIZERS)
def test_eager_and_compiled_steps_can_follow_each_other(kind: Any, settings: dict[str, Any]) -> None:
    model, twin = network(), network()
    optimizer, twins = kind(model.parameters(), **settings), kind(twin.parameters(), **settings)
    block = compiled(twin, twins, bce, 10)
    x, t = events(90)
    losses = eager(model, optimizer, bce, x, t, 10)
    mixed = [
        block.run(x[:30], t[:30]),
        eager(twin, twins, bce, x[30:60], t[30:60], 10),
        block.run(x[60:], t[60:]),
    ]
    assert_agree(model, twin, losses, torch.cat(mixed))


@pytest.mark.slow
def test_a_new_learning_rate_needs_no_new_program() -> None:
    model, twin = network(), network()
    optimizer, twins = SGD(model.parameters(), lr=0.01), SGD(twin.parameters(), lr=0.01)
    block = compiled(twin, twins, bce, 10)
    x, t = events(40)
    losses = []
    for lr in (0.5, 0.001):
        optimizer.param_groups[0]["lr"] = twins.param_groups[0]["lr"] = lr
        losses.append((eager(model, optimizer, bce, x, t, 10), block.run(x, t)))
    assert_agree(model, twin, torch.cat([a for a, _ in losses]), torch.cat([b for _, b in losses]))


@pytest.mark.slow
def test_one_program_serves_any_number_of_events() -> None:
    model, twin = network(), network()
    optimizer, twins = SGD(model.parameters(), lr=0.01), SGD(twin.parameters(), lr=0.01)
    block = compiled(twin, twins, bce, 10)
    for count in (10, 0, 3, 110, 20, 13):
        x, t = events(count)
        before = [p.detach().clone() for p in twin.parameters()]
        losses = block.run(x, t)
        assert len(losses) == -(-count // 10)
        if count:
            assert_agree(model, twin, eager(model, optimizer, bce, x, t, 10), losses)
        else:
            torch.testing.assert_close([p.detach() for p in twin.parameters()], before, rtol=0, atol=0)


class Attention(nn.Module):
    """Batched products, slices, softmax, a normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.qkv, self.norm = nn.Linear(2, 32), nn.Linear(8, 24, bias=False), nn.LayerNorm(32)
        self.out = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        q, k, v = self.qkv(h.view(-1, 4, 8)).chunk(3, -1)
        mixed = (q @ k.transpose(1, 2)).softmax(-1) @ v
        out: Tensor = self.out(self.norm(h + mixed.reshape(-1, 32)))
        return out


class Shared(nn.Module):
    """A layer used twice, a scale, a scalar parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.twice, self.out = nn.Linear(2, 7), nn.Linear(7, 7), nn.Linear(7, 1)
        self.scale, self.gain = nn.Parameter(torch.full((7,), 0.5)), nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.silu(self.into(x))
        h = functional.elu(self.twice(h)) * self.scale
        out: Tensor = self.out(functional.gelu(self.twice(h))) * self.gain
        return out


def probability_loss(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    both = torch.cat([model(x), -model(x)], 1)
    return functional.cross_entropy(both, torch.cat([t, 1 - t], 1))


def masked_loss(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    """Masks, a variance, a number as a tensor, and arithmetic on what is transposed."""
    y = model(x * x.mT.cos().mT)
    counted = ((x[:, :1] > 0) & (x[:, 1:] > 0)) | ~(t > 0)
    return (y.square() * counted.float()).mean() * torch.tensor(0.5) + y.var(correction=0)


OTHERS: dict[str, tuple[Callable[[], nn.Module], ModelLoss]] = {
    "attention": (Attention, bce_of_logits),
    "shared": (Shared, bce_of_logits),
    "squares": (lambda: small(nn.Tanh()), lambda m, x, t: functional.mse_loss(m(x), t)),
    "huber": (lambda: small(nn.Mish()), lambda m, x, t: functional.huber_loss(m(x), t)),
    "cross entropy": (lambda: small(nn.Softplus()), probability_loss),
    "in place": (lambda: small(nn.ReLU(inplace=True)), bce_of_logits),
    "penalty": (
        lambda: small(nn.LeakyReLU()),
        lambda m, x, t: bce_of_logits(m, x, t) + 1e-3 * sum(p.square().sum() for p in m.parameters()),
    ),
    "masks": (lambda: small(nn.Tanh()), masked_loss),
    "sum": (lambda: small(nn.Tanh()), lambda m, x, t: (m(x) - t).sum() * 0.01),
    "no hidden layer": (lambda: nn.Linear(2, 1), lambda m, x, t: m(x).mean()),
    "fifty": (lambda: nn.Sequential(nn.Linear(2, 50), nn.ReLU(), nn.Linear(50, 50), nn.Linear(50, 1)), bce_of_logits),
}


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 9])
@pytest.mark.parametrize("name", OTHERS)
def test_other_models_and_losses_agree_with_eager(name: str, batch_size: int) -> None:
    build, loss = OTHERS[name]
    torch.manual_seed(0)
    model = build()
    twin = copy.deepcopy(model)
    optimizer, twins = SGD(model.parameters(), lr=0.01), SGD(twin.parameters(), lr=0.01)
    losses = eager(model, optimizer, loss, *events(90), batch_size)
    assert_agree(model, twin, losses, compiled(twin, twins, loss, batch_size).run(*events(90)))


@pytest.mark.slow
def test_a_gradient_that_is_another_parameter_is_read_before_that_is_updated() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([3.0, 4.0]))

    def loss(model: Any, x: Tensor, _: Tensor) -> Tensor:
        out: Tensor = (model.a * model.b).sum() + 0 * x.sum()
        return out

    model, twin = Product(), Product()
    optimizer, twins = SGD(model.parameters(), lr=0.01), SGD(twin.parameters(), lr=0.01)
    losses = eager(model, optimizer, loss, *events(30), 10)
    assert_agree(model, twin, losses, compiled(twin, twins, loss, 10).run(*events(30)))


@pytest.mark.slow
def test_a_diverged_run_shows_nan_as_eager_does() -> None:
    model = small(nn.ReLU())
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    losses = compiled(model, SGD(model.parameters(), lr=0.01), bce_of_logits, 10).run(*events(20))
    assert losses.isnan().all()


@pytest.mark.slow
def test_autograd_notices_that_a_block_has_changed_the_parameters() -> None:
    model = small(nn.Tanh())
    block = compiled(model, SGD(model.parameters(), lr=0.01), bce_of_logits, 10)
    pending = bce_of_logits(model, *events(10))
    block.run(*events(10))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(pending)


@pytest.mark.slow
def test_data_of_another_type_are_refused() -> None:
    model = small(nn.Tanh())
    block = compiled(model, SGD(model.parameters(), lr=0.01), bce_of_logits, 10)
    x, t = events(20)
    with pytest.raises(UnsupportedError, match="float64"):
        block.run(x.double(), t)


def test_a_batch_of_whole_numbers_is_refused() -> None:
    model, (x, t) = small(), events(10)
    with pytest.raises(UnsupportedError, match=r"float32 throughout; there is torch\.int64"):
        CompiledBlock(model, plain_sgd(model), lambda *batch: bce_of_logits(model, *batch), (x, t.long()))


@pytest.mark.slow
def test_settings_that_change_in_kind_are_refused() -> None:
    model = small(nn.Tanh())
    optimizer = SGD(model.parameters(), lr=0.01)
    block = compiled(model, optimizer, bce_of_logits, 10)
    optimizer.param_groups[0]["momentum"] = 0.9
    with pytest.raises(UnsupportedError, match="changed in kind"):
        block.run(*events(20))


def hooked(model: nn.Module) -> nn.Module:
    model.register_forward_hook(lambda *_: None)
    return model


def with_shared_memory(model: nn.Module) -> nn.Module:
    model.register_parameter("again", nn.Parameter(next(model.parameters()).data))
    return model


def hooked_optimizer(model: nn.Module) -> Optimizer:
    optimizer = SGD(model.parameters(), lr=0.01)
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


def gradient_hooked(model: nn.Module) -> nn.Module:
    next(model.parameters()).register_hook(lambda gradient: gradient)
    return model


def backward_hooked(model: nn.Module) -> nn.Module:
    model[0].register_full_backward_pre_hook(lambda *_: None)
    return model


def plain_sgd(model: nn.Module) -> Optimizer:
    return SGD(model.parameters(), lr=0.01)


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Optimizer], str]] = {
    "another optimizer": (network, lambda m: torch.optim.RMSprop(m.parameters()), "RMSprop; compiled are SGD, Adam"),
    "two groups": (small, lambda m: SGD([{"params": [p]} for p in m.parameters()]), "4 parameter groups"),
    "maximize": (network, lambda m: SGD(m.parameters(), maximize=True), "maximize is set"),
    "amsgrad": (network, lambda m: Adam(m.parameters(), amsgrad=True), "amsgrad is set"),
    "half the model": (network, lambda m: SGD(list(m.parameters())[:2]), "exactly the module's parameters"),
    "batch norm": (lambda: small(nn.BatchNorm1d(10)), plain_sgd, "buffers"),
    "dropout": (lambda: small(nn.Dropout(0.5)), plain_sgd, "dropout"),
    "hooks": (lambda: hooked(small()), plain_sgd, "hooks"),
    "backward hooks": (lambda: backward_hooked(small()), plain_sgd, "hooks"),
    "float64": (lambda: small().double(), plain_sgd, "float64"),
    "learning rate as a tensor": (small, lambda m: SGD(m.parameters(), lr=torch.tensor(0.01)), "is a tensor"),
    "optimizer hooks": (small, hooked_optimizer, "step hooks"),
    "shared memory": (lambda: with_shared_memory(small()), plain_sgd, "share their memory"),
    "gradient hooks": (lambda: gradient_hooked(small()), plain_sgd, "gradient hook"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compiled_is_refused_with_the_reason(name: str) -> None:
    build, optimizer_of, reason = REFUSED[name]
    model = build()
    optimizer = optimizer_of(model)
    assert reason in str(unsupported(model, optimizer))
    with pytest.raises(UnsupportedError, match=reason):
        compiled(model, optimizer, bce_of_logits, 10)


OUTSIDE = torch.ones(10, 1)
REFUSED_LOSSES: dict[str, tuple[ModelLoss, str]] = {
    "value in Python": (lambda m, x, t: bce_of_logits(m, x, t) * (1 if t.sum() > 0 else 2), "value into Python"),
    "random": (lambda m, x, t: bce_of_logits(m, x + torch.randn_like(x), t), "random numbers"),
    "float64": (lambda m, x, t: bce_of_logits(m, x, t).double(), "float64"),
    "not one number": (lambda m, x, t: m(x), "one number"),
    "a tensor from outside": (lambda m, x, t: (m(x) * OUTSIDE).mean(), "neither a parameter nor part of the batch"),
    "rounding": (lambda m, x, t: (m(x) * x.long()[:, :1].float()).mean(), "_to_copy of these types"),
    "floor division": (lambda m, x, t: m(x.div(2, rounding_mode="floor")).mean(), "div of these types"),
    "new memory": (lambda m, x, t: m(x + torch.empty_like(x)).mean(), "fills new memory"),
    "a change of the batch": (lambda m, x, t: bce_of_logits(m, x.mul_(2), t), "in place"),
    "a weighted product": (lambda m, x, t: torch.addmm(m(x), t, t[:1], beta=2).mean(), "addmm with alpha or beta"),
    "convolution": (
        lambda m, x, t: functional.conv1d(m(x)[None].mT, t[None, :1]).mean(),
        "no rule to compile convolution",
    ),
    "unused": (lambda m, x, t: next(iter(m.parameters())).sum(), "does not take part"),
}


@pytest.mark.parametrize("name", REFUSED_LOSSES)
def test_a_loss_that_cannot_be_compiled_is_refused_with_the_reason(name: str) -> None:
    loss, reason = REFUSED_LOSSES[name]
    model = small(nn.ReLU())
    with pytest.raises(UnsupportedError, match=reason):
        compiled(model, plain_sgd(model), loss, 10)


def test_a_refused_model_is_left_as_it_was() -> None:
    model = small(nn.ReLU())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UnsupportedError):
        compiled(model, plain_sgd(model), lambda m, x, t: m(x), 10)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1f"), (float("inf"), "INFINITY"), (-float("inf"), "(-INFINITY)"), (float("nan"), "NAN")],
)
def test_numbers_are_written_as_cpp_reads_them(value: float, text: str) -> None:
    assert literal(value) == text


def trained(make: Callable[[nn.Sequential], Optimizer]) -> tuple[nn.Sequential, Optimizer, CompiledBlock]:
    model = small()
    optimizer = make(model)
    x, t = events(20)
    block = CompiledBlock(model, optimizer, lambda *batch: bce_of_logits(model, *batch), (x[:10], t[:10]))
    block.run(x, t)
    return model, optimizer, block


def momentum(model: nn.Sequential) -> SGD:
    return SGD(model.parameters(), lr=0.01, momentum=0.9)


def adam(model: nn.Sequential) -> Adam:
    return Adam(model.parameters())


# What a checkpoint could put in place of a state of the first layer's weight, whose shape is (10, 2).
BUFFERS: dict[str, Callable[[nn.Sequential], Any]] = {
    "one number": lambda model: torch.zeros(1),
    "another shape of the same size": lambda model: torch.zeros(20),
    "the transposed shape": lambda model: torch.zeros(2, 10),
    "another type": lambda model: torch.zeros(10, 2, dtype=torch.float64),
    "one number seen twenty times": lambda model: torch.zeros(1).expand(10, 2),
    "columns in place of rows": lambda model: torch.zeros(2, 10).t(),
    "a sparse tensor": lambda model: torch.zeros(10, 2).to_sparse(),
    "no tensor": lambda model: 0.0,
    "the parameter itself": lambda model: model[0].weight.data,
    "memory that was freed": lambda model: emptied(torch.zeros(10, 2)),
}


def emptied(tensor: Tensor) -> Tensor:
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.parametrize("make", [momentum, adam])
@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
def test_a_state_that_is_not_the_parameters_is_refused_before_the_first_step(
    make: Callable[[nn.Sequential], Optimizer], buffer: Callable[[nn.Sequential], Any]
) -> None:
    model, optimizer, block = trained(make)
    state = optimizer.state[model[0].weight]
    state[next(name for name in state if name != "step")] = buffer(model)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(UnsupportedError):
        block.run(*events(20))
    assert all(map(torch.equal, before, model.parameters()))


def test_two_states_that_overlap_are_refused() -> None:
    model, optimizer, block = trained(adam)
    both = torch.zeros(30)
    state = optimizer.state[model[0].weight]
    state["exp_avg"], state["exp_avg_sq"] = both[:20].view(10, 2), both[10:].view(10, 2)
    with pytest.raises(UnsupportedError, match="share their memory"):
        block.run(*events(20))


@pytest.mark.parametrize("step", [float("nan"), float("inf"), -1.0, 0.5, 1e30, torch.zeros(2)], ids=str)
def test_a_step_that_is_no_count_is_refused(step: Any) -> None:
    model, optimizer, block = trained(adam)
    for p in model.parameters():
        optimizer.state[p]["step"] = step
    with pytest.raises(UnsupportedError, match="not a number of steps"):
        block.run(*events(20))


@pytest.mark.parametrize(("make", "name"), [(momentum, "momentum_buffer"), (adam, "step")])
def test_a_parameter_that_has_taken_fewer_steps_than_another_is_refused(
    make: Callable[[nn.Sequential], Optimizer], name: str
) -> None:
    model, optimizer, block = trained(make)
    del optimizer.state[model[0].weight][name]
    with pytest.raises(UnsupportedError, match="more steps"):
        block.run(*events(20))


def test_a_parameter_that_has_changed_its_shape_is_refused() -> None:
    model, _, block = trained(momentum)
    model[0].weight.data = torch.zeros(1)
    with pytest.raises(UnsupportedError, match="the shape"):
        block.run(*events(20))


@pytest.mark.parametrize("data", [(torch.zeros(20, 1), torch.zeros(20, 1)), (torch.zeros(20, 2), torch.zeros(15, 1))])
def test_rows_of_another_shape_than_those_compiled_are_refused(data: tuple[Tensor, Tensor]) -> None:
    _, _, block = trained(momentum)
    with pytest.raises(UnsupportedError, match="the shape"):
        block.run(*data)


def test_parameters_that_are_no_longer_trained_are_noticed_before_the_next_step():
    model = small()
    block = compiled(model, plain_sgd(model), bce_of_logits, 10)
    block.run(*events(20))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    with pytest.raises(UnsupportedError, match="not all parameters are trained"):
        block.run(*events(20))
    assert torch.equal(model[0].weight, before)
