import re
import sys
from pathlib import Path

import lightning.pytorch  # noqa: F401 - its log handler keeps the stream of the test that imports it first
import pytest
from processes import modules_after
from small_studies import WORDS

SIZES, RATES, TARGETS, *_ = WORDS

# By what is wrong: the arguments, and what the message must say about the rule and about the value.
BAD = {
    "an unknown key": (["--vary=data.batchsize=1,2", RATES, TARGETS], "unrecognized", "Did you mean --data.batch_size"),
    "a key of no class": (
        [*WORDS, "--vary=seed_everything=1,2"],
        "a key of model, data or trainer",
        "'seed_everything'",
    ),
    "no values": (["--vary=data.batch_size=", RATES, TARGETS], "--vary", "'data.batch_size='"),
    "an empty value": (["--vary=data.batch_size=1,,2", RATES, TARGETS], "--vary", "'data.batch_size=1,,2'"),
    "a wrong type": (["--vary=data.batch_size=a,b", RATES, TARGETS], "data.batch_size must be a whole number", "'a'"),
    "a value that is refused": ([*WORDS, "--vary=model.width=8,-1"], "model.width|negative dimension", "-1"),
    "the same value twice": (["--vary=data.batch_size=1,1", RATES, TARGETS], "each value once", "Got 1"),
    "the same key twice": ([SIZES, SIZES, RATES, TARGETS], "each key once", "data.batch_size"),
    "a class as a learning rate": ([SIZES, "--vary=model.optimizer=SGD,Adam", TARGETS], "must have numbers", "'SGD'"),
    "no axes": ([TARGETS], "--vary must be given", "none"),
    "a single axis": ([SIZES, TARGETS], "--vary must be given", "data.batch_size"),
    "no targets": ([SIZES, RATES], "--targets must be given", "as in"),
    "a target in letters": ([SIZES, RATES, "--targets=low"], "--targets", "'low'"),
    "a target above the start": ([SIZES, RATES, "--targets=100,.5"], "before the first step", "Got 100"),
    "no seeds": ([*WORDS, "--seeds=0"], "--seeds", "'0'"),
    "a fraction of a seed": ([*WORDS, "--data-seeds=1.5"], "--data-seeds", "'1.5'"),
    "no jobs": ([*WORDS, "--jobs=0"], "--jobs", "'0'"),
    "no checkpoints": ([*WORDS, "--per-decade=0"], "--per-decade", "'0'"),
    "fewer than no checkpoints": ([*WORDS, "--further=-1"], "--further", "'-1'"),
    "a rise that is none": ([*WORDS, "--diverged=-2"], "--diverged", "'-2'"),
    "steps that are none": ([*WORDS, "--lr-steps=nan"], "--lr-steps", "'nan'"),
    "an empty budget": ([*WORDS, "--budget=0"], "--budget", "'0'"),
    "a metric that nobody logs": (
        [*WORDS, "--metric=val/f1"],
        "one that the model logs in validation: val/loss",
        "val/f1",
    ),
    "no validation": ([*WORDS, "--trainer.limit_val_batches=0"], "it logs none", "val/loss"),
    "an unknown engine": ([*WORDS, "--engine=steam"], "model.engine", "steam"),
    "epochs beside the budget": ([*WORDS, "--trainer.max_epochs=3"], "--budget", "trainer.max_epochs"),
    "a checkpoint": ([*WORDS, "--ckpt_path=last"], "ckpt_path", "last|a checkpoint"),
    "a trial run": ([*WORDS, "--trainer.fast_dev_run=true"], "trainer.fast_dev_run", "True"),
    "several devices": ([*WORDS, "--trainer.devices=2"], "--jobs", "Got '2'"),
    "another folder of runs": ([*WORDS, "--trainer.default_root_dir=x"], "--runs", "'x'"),
    "an unknown option of fit": ([*WORDS, "--model.widht=3"], "unrecognized arguments", "--model.width"),
    "a name that leads away": ([*WORDS, "--name=../x"], "--name", "'../x'"),
    "a report of nothing": (["--report"], "--report needs a study", "study"),
    "a scheduler that is not there": (
        [*WORDS, "--scheduler=tcp://127.0.0.1:9"],
        "--scheduler",
        "127.0.0.1:9|distributed",
    ),
    "a setting that fails in training": ([*WORDS, "--trainer.accumulate_grad_batches=2"], "data.block_size", "=2"),
}


@pytest.mark.parametrize(("words", "rule", "value"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_message_before_any_training(words, rule, value, example, capsys):
    assert example("study", *words) == 2
    said = capsys.readouterr()
    (message,) = re.findall("^example: error: (?:.*\n?)*", said.err, re.MULTILINE)
    assert re.search(rule, message), message
    assert re.search(value, message), message
    assert "Traceback" not in said.err
    assert "trainings" not in said.out
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", ["joblib", "scipy"])
def test_a_missing_library_is_said_in_one_message(name, example, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    assert example("study", *WORDS) == 2
    assert capsys.readouterr().err == f"example: error: study needs further libraries: pip install {name}\n"


def test_help_needs_no_torch():
    assert "torch" not in modules_after("-m", "example", "study", "--help")
