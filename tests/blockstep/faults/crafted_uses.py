"""Crafted checkpoints: each is a run that equals its plain twin, or one message.

A checkpoint with a valid checksum may hold anything, since the checksum finds damage, not intent. What is promised of a
command that gets one:

- It ends by itself within ten seconds of the processor's time, with exit status 0, 1 or 2, and at most one message. No
  file outside the run's folder was written, and with exit status 2 those within it are what they were.
- If a name, a type, a shape or a size was changed, or something was dropped, added or swapped, it is refused with exit
  status 2; or it was something that the command does not read, and the result is that of the plain checkpoint: the same
  weights, states, schedules, scores and table. The counters of Lightning's loops are judged by what they do: those in
  the next checkpoint may differ.
- If plain data have other values (a weight, a learning rate, a best score), nobody can tell, and the result may differ;
  a run may then end with exit status 1 since its loss has become nan.
- In Python, hyperparameters are what the class accepts: its annotations are checked by the commands alone. The weights
  are those of the plain checkpoint.
"""

import hashlib
import shutil
import signal
from pathlib import Path

from compared import assert_equal, table
from crafted import save
from forked import end, output, run, start

from blockstep.checkpoints.checkpoint_file import KEY, read_checkpoint

SECONDS = 10
"""Of the processor's time. On the clock, a busy machine may take six times as long."""

RUN = Path("runs/run/version_0")
IN_PLACE, ELSEWHERE = RUN / "checkpoints" / "last.ckpt", Path("crafted.ckpt")
COMMON = ["--data.num_training=30", "--data.num_validation=20", "--data.num_test=20"]
WATCHED = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
WATCHED += ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=val/loss"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.1", "--model.optimizer.momentum=0.9"]
MOMENTUM += ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=2", *WATCHED]
ADAM = ["--model.optimizer=Adam", "--model.optimizer.lr=0.01"]
ADAM += ["--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau", "--model.lr_scheduler.patience=0"]
WITHIN = "--trainer.max_steps=5"  # ends within an epoch
RUNS = {
    "momentum": MOMENTUM,
    "momentum, within an epoch": [*MOMENTUM, WITHIN],
    "adam": ADAM,
    "compiled momentum": [*MOMENTUM, "--model.engine=compiled"],
    "compiled adam, within an epoch": [*ADAM, WITHIN, "--model.engine=compiled"],
}
LONGER = ["--trainer.max_epochs=4", "--trainer.max_steps=-1"]
USES = {
    "fit in place": (3, IN_PLACE, ["fit", *LONGER]),
    "fit": (1, ELSEWHERE, ["fit", *LONGER, *COMMON]),
    "validate": (1, ELSEWHERE, ["validate"]),
    "test": (1, IN_PLACE, ["test"]),
    "predict": (1, ELSEWHERE, ["predict"]),
    "in Python": (1, ELSEWHERE, None),
}
"""What a crafted checkpoint is given to: how often, where it lies, and the arguments."""


class Cases:
    """Runs of one kind, each of which goes on from a checkpoint in a folder of the same path."""

    def __init__(self, folder, words):
        self.here, self._kept = folder / "here", folder / "kept"
        self.here.mkdir()
        assert run(["fit", "--trainer.max_epochs=2", *COMMON, *words], self.here, every=3600) == 0, output(self.here)
        (self.here / "log.txt").unlink()
        (self.here / "victim.txt").write_text("none of the run's")
        self.here.rename(self._kept)
        self.plain = read_checkpoint(self._kept / IN_PLACE)
        self._twins = {}

    def twin(self, use):
        """What a use of the plain checkpoint ends with."""
        if use not in self._twins:
            _, status = self.ended(use, self.plain)
            assert status == 0, output(self.here)
            self._twins[use] = self.result(use)
        return self._twins[use]

    def ended(self, use, content):
        """Use a checkpoint with this content; return the files before, and the exit status (None: it hangs)."""
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(self._kept, self.here)
        _, where, words = USES[use]
        save(content, self.here / where)
        before = files(self.here)
        if words is None:
            process = start([str(where)], self.here, main="crafted.load_in_python", seconds=SECONDS)
        else:
            process = start([*words, f"--ckpt_path={where}"], self.here, every=3600, seconds=SECONDS)
        process.join(6 * SECONDS)
        if process.exitcode is None:
            end(process, signal.SIGABRT)  # it prints where it hangs
            return before, None
        return before, process.exitcode

    def result(self, use):
        """What counts of the result."""
        if use == "predict":
            return (self.here / "predictions.csv").read_text()
        if not use.startswith("fit"):
            return [line for line in output(self.here).splitlines() if "loss" in line]
        folder = RUN if use == "fit in place" else RUN.with_name("version_1")
        checkpoint = read_checkpoint(self.here / folder / "checkpoints" / "last.ckpt")
        left = {key: value for key, value in checkpoint.items() if key not in (KEY, "loops")}
        return left, table(self.here / folder)


def files(folder):
    """Size, time and content of each file."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"]
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in found
    }


def fault(cases, use, crafted):
    """What is wrong with how a crafted checkpoint's use ends; None if nothing is."""
    before, status = cases.ended(use, crafted.content)
    said, now = output(cases.here), files(cases.here)
    changed = {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}
    otherwise = {path for path in changed if before.get(path, (0, ""))[1] != now.get(path, (0, ""))[1]}
    may_change = {"fit in place": RUN, "fit": RUN.with_name("version_1"), "predict": Path("predictions.csv")}
    outside = {path for path in changed if use not in may_change or not path.is_relative_to(may_change[use])}
    errors = said.count("example: error: ")
    rules = {
        "hangs": status is None,
        f"has exit status {status}": status is not None and status not in (0, 1, 2),
        "prints a traceback": "Traceback" in said,
        f"prints {errors} messages": errors != (status != 0),
        "prints too much": len(said) > 30_000,
        f"changes {sorted(map(str, outside))}": outside,
        f"is refused, and changes {sorted(map(str, otherwise))}": status == 2 and otherwise,
        "has exit status 1": status == 1 and not ("the loss is" in said and crafted.has_other_values),
    }
    broken = [rule for rule, holds in rules.items() if holds]
    if not broken and status == 0 and not crafted.has_other_values:
        try:
            assert_equal(cases.result(use), cases.twin(use), "result")
        except AssertionError as difference:
            broken = [f"ends with another result: {str(difference).splitlines()[0]:.100}"]
    return f"{', '.join(broken)}\n{said[-1500:]}" if broken else None
