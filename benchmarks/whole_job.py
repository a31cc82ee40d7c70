"""Measure the whole job from outside: training, validation, logging, checkpoints and the printed report.

python benchmarks/whole_job.py    (ROUNDS=5 and SECONDS=5 in the environment are the defaults)

Each program prints a line in each epoch. The time of an epoch is the time between two lines, at least SECONDS apart, by
the clock of the process that reads them, over the number of epochs between them: starts vary by seconds and are left
out. Before anything is timed, each program runs two epochs, and its metrics are compared with batchlab's. The tables
are written to README.md.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import product

import numpy as np
from conftest import command
from numpy.random import SeedSequence
from report import ROOT, fill
from whole_job_tables import growth_is_linear, head, ratios, tables
from whole_process import ENDLESS, SHORT, Epochs, Printed, ProcessError, last_metrics, leave_a_core, run

from batchlab.toy import draw_events, posterior

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REGIMES = {"batch": 1100, "online": 1, "minibatch": 10}

Words = Callable[[str, int], list[str]]
"""From a regime and a number of epochs to a command line."""


def batchlab(*options: str) -> Words:
    return lambda regime, epochs: [
        sys.executable, "-m", "batchlab", "fit", f"--config={ROOT / 'configs' / regime}.yaml",
        f"--trainer.max_epochs={epochs}", "--epoch_report.figure_every_n_epochs=1000000", *options,
    ]  # fmt: skip


def peer(name: str, *words: str) -> Words:
    return lambda regime, epochs: command(name, "../events.npz", REGIMES[regime], epochs, *words)


COMPILED = "--model.engine=compiled"
PROGRAMS = {
    "batchlab": batchlab(),
    "batchlab, compiled": batchlab(COMPILED),
    "by hand": peer("whole_job_by_hand"),
    "by hand, torch.compile": peer("whole_job_by_hand", "compile"),
    "JAX": peer("whole_job_jax", "../weights.npz"),
    "Lightning template": peer("whole_job_lightning"),
}
OPTIONAL = (
    "by hand, torch.compile",
    "JAX",
    "JAX, on all cores",
)  # left out where they do not run, for lack of a compiler or of JAX
# Parts of an epoch, in batch learning, since there training takes the smallest part. Without validation there is no
# best.ckpt either, so validation is measured without checkpoints.
UNSAVED = "--trainer.enable_checkpointing=false"
UNVALIDATED = "--trainer.limit_val_batches=0"
PARTS = {
    "validation": batchlab(UNSAVED),
    "no validation": batchlab(UNSAVED, UNVALIDATED),
    "validation, compiled": batchlab(UNSAVED, COMPILED),
    "no validation, compiled": batchlab(UNSAVED, COMPILED, UNVALIDATED),
    "large validation": batchlab(UNSAVED, "--data.num_validation=1100000"),
    "JAX, on all cores": peer("whole_job_jax", "../weights.npz", "all_cores"),
    "contours": batchlab("--epoch_report.figure_every_n_epochs=1"),
}
VALIDATIONS = 300  # by hand, in one process
TOLERANCES = {"loss": 5e-6, "regret": 5e-6, "auroc": 1e-5, "average_precision": 1e-5}  # by the ends of their names


def prepare() -> None:
    """Write the files that the peers read: events, and initial weights for JAX."""
    x, t = draw_events(100, 1000, 0)
    fresh, labels = draw_events(1000, 10_000, SeedSequence(0, spawn_key=(1,)))  # as ToyDataModule draws them
    np.savez("events.npz", x=x, t=t, validation_x=fresh, validation_t=labels, validation_p=posterior(fresh))
    run(peer("whole_job_by_hand", "save", "../weights.npz")("batch", 0))


def check() -> dict[str, Words]:
    """Return the programs that run, after comparing their metrics. Compiled programs are built and cached here."""
    programs = {name: words for name, words in PROGRAMS.items() if name not in OPTIONAL or works(name)}
    for regime in REGIMES:
        expected = metrics_of(programs["batchlab"], regime)
        for name, words in programs.items():
            compare(f"{name}, {regime}", metrics_of(words, regime), expected)
    return programs


def metrics_of(words: Words, regime: str) -> dict[str, float]:
    run(words(regime, SHORT))
    return last_metrics()


def works(name: str) -> bool:
    try:
        run(PROGRAMS[name]("batch", SHORT))
    except ProcessError as error:
        print(f"Left out: {name}. {error}", file=sys.stderr)
        return False
    return True


def compare(title: str, metrics: dict[str, float], expected: dict[str, float]) -> None:
    """Exit unless the validation's four numbers and a training loss agree."""
    differences = {name: abs(metrics[name] - expected[name]) for name in sorted(metrics.keys() & expected.keys())}
    too_large = [
        name
        for name, value in differences.items()
        if not value <= next(limit for end, limit in TOLERANCES.items() if name.endswith(end))
    ]
    print(f"{title}: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items()), file=sys.stderr)
    if len(differences) < 5 or too_large:
        sys.exit(f"{title}: the metrics after {SHORT} epochs differ from batchlab's.\n{metrics}\n{expected}")


def start_cases(programs: dict[str, Words]) -> dict[str, dict[str, Epochs | Printed]]:
    """Return what is measured in each regime."""
    parts = {name: words for name, words in PARTS.items() if "JAX" not in name or "JAX" in programs}
    cases: dict[str, dict[str, Epochs | Printed]] = {
        regime: {
            name: Epochs(words(regime, ENDLESS))
            for name, words in (programs | (parts if regime == "batch" else {})).items()
        }
        for regime in REGIMES
    }
    cases["batch"]["validation by hand"] = Printed(peer("whole_job_by_hand", "validate")("batch", VALIDATIONS))
    return cases


def measure(cases: dict[str, dict[str, Epochs | Printed]]) -> None:
    """In each round, measure every case once. The order is rotated from round to round."""
    for turn, regime in product(range(ROUNDS), cases):
        names = list(cases[regime])
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            cases[regime][name].measure()
            print(f"{turn + 1}, {regime}, {name}: {cases[regime][name].seconds[-1] * 1e3:.3f} ms", file=sys.stderr)


def main() -> None:
    leave_a_core()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        prepare()
        cases = start_cases(check())
        measure(cases)
    text = tables(cases)
    print(text)
    fill(ROOT / "benchmarks" / "README.md", "whole job", text)
    fill(ROOT / "README.md", "whole job", "\n\n".join([head(cases), ratios(cases)]))
    if not growth_is_linear(cases["batch"]):
        sys.exit("A hundred times the validation events do not take about a hundred times as long.")


if __name__ == "__main__":
    main()
