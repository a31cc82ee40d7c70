"""The same training in JAX as one compiled program: `jit` over `lax.scan`.

python jax_scan.py FILE BATCH_SIZE [EPOCHS]

The batch size must divide the number of events.
"""

import os
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import itertools

import jax
from jax import numpy as jnp
from protocol import events, serve

x, t, batch_size = events()
x, t = x.reshape(-1, batch_size, 2), t.reshape(-1, batch_size, 1)


def start() -> list[tuple[jax.Array, jax.Array]]:
    sizes, key, layers = [2, 64, 64, 64, 64, 64, 1], jax.random.PRNGKey(0), []
    for fan_in, fan_out in itertools.pairwise(sizes):
        key, first, second = jax.random.split(key, 3)
        bound = fan_in**-0.5
        weight = jax.random.uniform(first, (fan_in, fan_out), minval=-bound, maxval=bound)
        layers.append((weight, jax.random.uniform(second, (fan_out,), minval=-bound, maxval=bound)))
    return layers


def to_logits(layers, x):
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


def loss(layers, x, t):
    y = jax.nn.sigmoid(to_logits(layers, x))
    return -jnp.mean(t * jnp.maximum(jnp.log(y), -100) + (1 - t) * jnp.maximum(jnp.log(1 - y), -100))


def step(layers, batch):
    value, gradients = jax.value_and_grad(loss)(layers, *batch)
    return jax.tree.map(lambda p, g: p - 0.01 * g, layers, gradients), value


@jax.jit
def run_epoch(layers, x, t):
    return jax.lax.scan(step, layers, (x, t))


layers = start()


def epoch() -> float:
    global layers
    start = time.perf_counter()
    layers, losses = run_epoch(layers, x, t)
    losses.block_until_ready()
    return time.perf_counter() - start


if __name__ == "__main__":
    jax.block_until_ready(run_epoch(layers, x, t))
    serve(lambda count: [epoch() for _ in range(count)])
