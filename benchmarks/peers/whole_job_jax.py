"""The whole job in JAX and numpy: an epoch and a validation's forward pass are one compiled program each.

python whole_job_jax.py FILE BATCH_SIZE EPOCHS WEIGHTS [all_cores]    (writes metrics.csv to the current folder)

WEIGHTS is a file of initial weights, as written by `whole_job_by_hand.py ... save`. `all_cores` gives up the affinity
that the process was started with.
"""

import os
import sys

if "all_cores" in sys.argv:  # before JAX starts its threads
    os.sched_setaffinity(0, range(os.cpu_count()))

import jax
import jax_scan
import numpy as np
import validation
from jax import numpy as jnp

x, t = jnp.asarray(jax_scan.x), jnp.asarray(jax_scan.t)
points = jnp.asarray(validation.x)
with np.load(sys.argv[4]) as file:
    weights = [jnp.asarray(file[name]) for name in file.files]
layers = [(weight.T, bias) for weight, bias in zip(weights[::2], weights[1::2], strict=True)]


@jax.jit
def forward(layers, points):
    return jax_scan.to_logits(layers, points)


def train() -> float:
    global layers
    layers, losses = jax_scan.run_epoch(layers, x, t)
    return float(losses[-1])


validation.run(train, lambda: np.asarray(forward(layers, points)).ravel())
