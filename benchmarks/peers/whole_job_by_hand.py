"""The whole job in plain PyTorch and numpy: the bare loop, and a validation by hand after each epoch.

python whole_job_by_hand.py FILE BATCH_SIZE EPOCHS            (writes metrics.csv to the current folder)
python whole_job_by_hand.py FILE BATCH_SIZE EPOCHS compile    (loss, backward pass and step by torch.compile)
python whole_job_by_hand.py FILE BATCH_SIZE CALLS validate    (prints the median seconds of a validation alone)
python whole_job_by_hand.py FILE BATCH_SIZE 0 save WEIGHTS    (writes the initial weights, for JAX)
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
import validation
from bare_loop import batch_loss, network, optimizer, train

x = torch.from_numpy(validation.x)
to_logits = network[:-1]  # without the sigmoid


def logits() -> np.ndarray:
    with torch.inference_mode():
        return to_logits(x).numpy()[:, 0]


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    count, mode = int(sys.argv[3]), "".join(sys.argv[4:5])
    if mode == "save":
        np.savez(sys.argv[5], *(weights.detach().numpy() for weights in network.parameters()))
    elif mode == "validate":
        times = [seconds(lambda: validation.scores(logits())) for _ in range(count)]
        print(median(times[len(times) // 10 :]))
    elif mode == "compile":
        loss, step = torch.compile(batch_loss), torch.compile(optimizer.step)
        validation.run(lambda: train(loss, step).item(), logits)
    else:
        validation.run(lambda: train().item(), logits)


main()
