"""The notebook's training loop in plain PyTorch: the denominator of most ratios.

python bare_loop.py FILE BATCH_SIZE [EPOCHS] [OPTIMIZER]
"""

import sys
import time
from collections.abc import Callable

import torch
from protocol import events, serve
from torch import nn

OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.001),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.001),
}

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
torch.manual_seed(0)
x, t, batch_size = events()
x, t = torch.from_numpy(x), torch.from_numpy(t)
layers = [nn.Linear(2, 64), nn.ReLU()]
for _ in range(4):
    layers += [nn.Linear(64, 64), nn.ReLU()]
network = nn.Sequential(*layers, nn.Linear(64, 1), nn.Sigmoid())
loss_of = nn.BCELoss()
optimizer = OPTIMIZERS[sys.argv[-1] if sys.argv[-1] in OPTIMIZERS else "sgd"](network.parameters())


def batch_loss(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return loss_of(network(x), t)


def train(batch_loss: Callable = batch_loss, step: Callable = optimizer.step) -> torch.Tensor:
    """Train for an epoch and return the last batch's loss."""
    for first in range(0, len(x), batch_size):
        loss = batch_loss(x[first : first + batch_size], t[first : first + batch_size])
        optimizer.zero_grad()
        loss.backward()
        step()
    return loss


def epoch() -> float:
    start = time.perf_counter()
    train()
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(lambda count: [epoch() for _ in range(count)])
