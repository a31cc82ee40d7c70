"""The notebook's training in bare PyTorch, written out: what batchlab's numbers are held against."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Batches = Callable[[Tensor, Tensor], Iterable[tuple[Tensor, Tensor]]]


def events() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed=0)
    signal = rng.multivariate_normal(mean=[1.0, 0], cov=[[1, 0], [0, 1]], size=100)
    background = rng.uniform(low=-5, high=5, size=(1000, 2))
    x = np.concatenate([signal, background])
    t = np.concatenate([np.ones((100, 1)), np.zeros((1000, 1))])
    order = rng.permutation(len(x))
    return torch.from_numpy(x[order]).float(), torch.from_numpy(t[order]).float()


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 1),
        nn.Sigmoid(),
    )


def whole(x: Tensor, t: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield x, t


def rows(x: Tensor, t: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(x, t, strict=True)


def slices(size: int) -> Batches:
    def cut(x: Tensor, t: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(0, len(x), size):
            yield x[first : first + size], t[first : first + size]

    return cut


def loader(size: int) -> Batches:
    return lambda x, t: DataLoader(TensorDataset(x, t), batch_size=size)


def train(batches: Batches, epochs: int = 1, seed: int = 0) -> tuple[list[float], list[Tensor]]:
    """Returns the last batch's loss of each epoch, and the weights at the end."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net, (x, t) = network(), events()
    loss_fn, optimizer = nn.BCELoss(), torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(epochs):
        for xb, tb in batches(x, t):
            loss = loss_fn(net(xb), tb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    return losses, [weight.detach() for weight in net.parameters()]
