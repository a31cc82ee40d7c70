"""The notebook's training loop in plain PyTorch: the denominator of most ratios.

python bare_loop.py FILE BATCH_SIZE [EPOCHS] [OPTIMIZER]
"""

import sys
import time

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


def epoch() -> float:
    start = time.perf_counter()
    for first in range(0, len(x), batch_size):
        loss = loss_of(network(x[first : first + batch_size]), t[first : first + batch_size])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


serve(lambda count: [epoch() for _ in range(count)])
