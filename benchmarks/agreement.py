"""Compare the compiled engine with eager PyTorch: epochs of both from the same weights.

python benchmarks/agreement.py [EPOCHS] [SEEDS]     (default: 50 epochs and 5 seeds)

SGD amplifies rounding errors, so independent runs diverge after some dozens of epochs, even if only their rounding
differs. Therefore both start each epoch from the same weights and optimizer state, those of the eager run. A third
network shows which differences are due to rounding alone: it is trained in eager PyTorch too, with its hidden neurons
in another order. That is the same function, but sums are added in another order. The last table compares independent
runs, by the regret at their end.
"""

import copy
import sys
from collections.abc import Sequence
from statistics import median

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from batchlab.model import BinaryClassifier, regret
from batchlab.toy import draw_events, posterior
from blockstep.compiled.block import CompiledBlock

OPTIMIZERS = {
    "SGD": lambda p: SGD(p, lr=0.01),
    "SGD, weight decay": lambda p: SGD(p, lr=0.01, weight_decay=0.01),
    "SGD, momentum": lambda p: SGD(p, lr=0.01, momentum=0.9),
    "SGD, nesterov": lambda p: SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda p: Adam(p, lr=0.001),
    "AdamW": lambda p: AdamW(p, lr=0.001),
}
SIZES = (1, 7, 10, 1100)
Apart = list[tuple[float, float]]


def tensors(seed: int, count: tuple[int, int] = (100, 1000)) -> tuple[torch.Tensor, torch.Tensor]:
    x, t = draw_events(*count, seed)
    return torch.from_numpy(x).float(), torch.from_numpy(t).float()


def eager_epoch(model: BinaryClassifier, optimizer: Optimizer, x: torch.Tensor, t: torch.Tensor, size: int):
    losses = []
    for batch in zip(x.split(size), t.split(size), strict=True):
        loss = model.batch_loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def compiled_of(model: BinaryClassifier, optimizer: Optimizer, x: torch.Tensor, t: torch.Tensor, size: int):
    return CompiledBlock(model, optimizer, lambda *batch: model.batch_loss(batch), (x[:size], t[:size]))


def pair(seed: int, make):
    torch.manual_seed(seed)
    model = BinaryClassifier()
    twin = copy.deepcopy(model)
    return (model, make(model.parameters())), (twin, make(twin.parameters()))


def reorder(model: BinaryClassifier, optimizer: Optimizer, orders: Sequence[torch.Tensor]) -> None:
    """Reorder the neurons of each hidden layer: their weights, their biases and the optimizer's state."""
    layers = [layer for layer in model.network if isinstance(layer, torch.nn.Linear)]
    for layer, following, order in zip(layers, layers[1:], orders, strict=False):
        for parameter, dim in ((layer.weight, 0), (layer.bias, 0), (following.weight, 1)):
            for tensor in (parameter.data, *optimizer.state[parameter].values()):
                if isinstance(tensor, torch.Tensor) and tensor.dim():
                    tensor.copy_(tensor.index_select(dim, order))


def start_as(twin, other) -> None:
    """Copy the weights of another model and the state of its optimizer."""
    for own, given in zip(twin, other, strict=True):
        own.load_state_dict(copy.deepcopy(given.state_dict()))


def apart(expected: torch.Tensor, found: torch.Tensor, model, twin) -> tuple[float, float]:
    """Return the largest relative difference of a loss, and the largest difference of a weight."""
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return (
        ((found - expected).abs() / expected.abs().clamp_min(1e-3)).max().item(),
        max((a - b).abs().max().item() for a, b in pairs),
    )


def differences(
    size: int, make, epochs: int, seeds: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return how far compiled and reordered epochs are from eager ones: two lists with a pair for each epoch."""
    compiled_apart, reordered_apart = [], []
    for seed in range(seeds):
        x, t = tensors(seed)
        eager, twin = pair(seed, make)
        third = pair(seed, make)[0]
        compiled = compiled_of(*twin, x, t, size)
        generator = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(64, generator=generator) for _ in range(5)]
        for _ in range(epochs):
            start_as(twin, eager)
            start_as(third, eager)
            expected = eager_epoch(*eager, x, t, size)
            compiled_apart.append(apart(expected, compiled.run(x, t), eager[0], twin[0]))
            reorder(*third, orders)
            found = eager_epoch(*third, x, t, size)
            reorder(*third, [order.argsort() for order in orders])
            reordered_apart.append(apart(expected, found, eager[0], third[0]))
    return compiled_apart, reordered_apart


def free_regrets(size: int, make, epochs: int, seeds: int) -> list[tuple[float, float]]:
    """Return the final regrets, eager and compiled, of independent runs from the same initial weights."""
    points, _ = draw_events(10_000, 100_000, 10**6)
    exact = torch.from_numpy(posterior(points, 100, 1000)).float()
    found = []
    for seed in range(seeds):
        x, t = tensors(seed)
        (model, optimizer), (twin, twins) = pair(seed, make)
        compiled = compiled_of(twin, twins, x, t, size)
        for _ in range(epochs):
            eager_epoch(model, optimizer, x, t, size)
            compiled.run(x, t)
        with torch.no_grad():
            found.append(tuple(regret(m(torch.from_numpy(points).float()), exact).item() for m in (model, twin)))
    return found


def row(name: str, size: int, both: Sequence[Sequence[tuple[float, float]]]) -> str:
    cells = [f"{name}", f"{size}"]
    for column, limit in enumerate((5e-6, 1e-6)):
        for pairs in both:
            found = [pair[column] for pair in pairs]
            above = sum(value > limit for value in found)
            cells += [f"{median(found):.1e}, {max(found):.1e}", f"{above}"]
    return "| " + " | ".join(cells) + " |"


def main(epochs: int = 50, seeds: int = 5) -> None:
    torch.set_num_threads(1)
    print("| optimizer | batch | loss | > 5e-6 | reordered | > 5e-6 | weight | > 1e-6 | reordered | > 1e-6 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, make in OPTIMIZERS.items():
        for size in SIZES:
            print(row(name, size, differences(size, make, epochs, seeds)), flush=True)
    print(f"\n| free runs of {epochs} epochs, SGD | eager's regrets | compiled's regrets |\n| --- | --- | --- |")
    for size in SIZES:
        both = zip(*free_regrets(size, OPTIMIZERS["SGD"], epochs, seeds), strict=True)
        print(f"| batch size {size} | " + " | ".join(", ".join(f"{r:.4f}" for r in runs) for runs in both) + " |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
