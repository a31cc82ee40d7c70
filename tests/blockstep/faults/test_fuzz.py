"""Command lines, config files and checkpoints at random: each is run or refused, without a traceback."""

import faulthandler
import json
import os
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from random import Random

import pytest
from crafted import craft
from crafted_uses import RUNS, USES, Cases, fault
from engines import marked
from example.cli import APPLICATION, main
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from systems import needs_fork

from blockstep.cli.application import COMMANDS
from blockstep.cli.lightning_cli import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SEED = int(os.environ.get("BLOCKSTEP_FUZZ_SEED", "0"))
EXAMPLES = int(os.environ.get("BLOCKSTEP_FUZZ", "1000")) // 5
CRAFTED = int(os.environ.get("BLOCKSTEP_FUZZ", "1000")) // 2 // len(RUNS)  # checkpoints, of each kind of run
SECONDS = 10

# Keys that start processes, or wait for other machines.
LEFT_OUT = ("trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.accelerator", "trainer.plugins")
SMALL = ["--data.num_validation=20", "--data.num_test=20", "--trainer.max_epochs=1", "--trainer.limit_train_batches=5"]
NAMES = """
    SGD Adam LBFGS SparseAdam Adafactor torch.optim.Adam StepLR OneCycleLR CosineAnnealingLR ReduceLROnPlateau
    torch.optim.lr_scheduler.ReduceLROnPlateau EarlyStopping ModelCheckpoint LearningRateMonitor DeviceStatsMonitor
    Timer RichProgressBar BatchSizeFinder StochasticWeightAveraging TensorBoardLogger CSVLogger WandbLogger
    simple advanced os.system json.dumps builtins.eval pathlib.Path example.model.Classifier example.data.Points
    lightning.pytorch.demos.boring_classes.BoringModel 16-mixed bf16-true 64-true compiled
    min max warn norm value last runs . .. /dev/null nowhere.yaml config.yaml
""".split()  # noqa: SIM905 - one name a line is less readable
ODD = """
    0 1 2 -1 0.5 1e-3 nan .nan inf -.inf null true false [] {} [1,2] [[]] {a:1} 1e400 1000000000000000000 00:00:00:01
    ' " % !!python/object/apply:os.mkdir['harm'] ${oc.env:HOME} {class_path:os.system}
""".split()  # noqa: SIM905 - likewise
VALUES = st.one_of(
    st.sampled_from(
        [*ODD, "", "{a: 1}", "{class_path: os.system}", "!!python/object/apply:os.mkdir ['harm']", "a" * 300]
    ),
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
)


def keys():
    """Every key of fit, and some of those below keys that name classes."""
    known = vars(CommandLine(APPLICATION, "fit", ["--trainer.fast_dev_run=true"]).parser.get_defaults().as_flat())
    below = ["model.optimizer.lr", "model.optimizer.momentum", "model.lr_scheduler.step_size", "trainer.callbacks+"]
    below += ["trainer.callbacks.monitor", "trainer.callbacks.init_args"]
    groups = ["data", "model", "trainer", "config", "output"]
    return sorted(key for key in {*known, *below, *groups} if key.partition(".init_args")[0] not in LEFT_OUT)


# What would do harm if it were called or built: in place of an optimizer, and wherever else a class is named.
HARM = {
    "os.mkdir": {"path": "harm"},
    "os.system": {"command": "mkdir harm"},
    "posix.system": {"command": "mkdir harm"},
    "subprocess.Popen": {"args": ["mkdir", "harm"]},
    "subprocess.run": {"args": ["mkdir", "harm"]},
    "pathlib.Path.mkdir": {"self": "harm"},
    "builtins.exec": {"source": "import os; os.mkdir('harm')"},
    "functools.partial": {"func": "os.mkdir"},
    "torch.hub.os.mkdir": {"path": "harm"},
    "blockstep.base.atomic_files.write_atomically": {"path": "harm", "content": "harm"},
    "blockstep.cli.commands.run": {"command": "fit", "args": []},
    "nowhere.Optimizer": {},
    "torch.optim.lr_scheduler.StepLR": {"step_size": 1},
    "torch.optim.lr_scheduler.LambdaLR": {"lr_lambda": "os.mkdir"},
    "torch.optim.SGD": {"lr": 0.01},
}
PLACES = ["model", "data", "model.optimizer", "model.lr_scheduler", "trainer.callbacks", "trainer.logger"]
HARMFUL = st.recursive(
    st.sampled_from(sorted(HARM)).map(lambda path: {"class_path": path, "init_args": HARM[path]}),
    lambda inner: st.builds(
        lambda path, key, value: {"class_path": path, "init_args": {**HARM[path], key: value}},
        st.sampled_from(["torch.optim.SGD", *sorted(path for path in HARM if path.startswith("torch.optim.lr"))]),
        st.sampled_from(["lr", "momentum", "lr_lambda", "step_size", "anything"]),
        inner,
    ),
    max_leaves=2,
)
KEYS = keys()
OPTIONS = st.sampled_from([*(f"--{key}" for key in KEYS), "-c"])
WORDS = st.lists(st.builds("{}={}".format, OPTIONS, VALUES) | OPTIONS | VALUES, max_size=3)
LEAVES = VALUES | st.integers() | st.floats() | st.none() | st.booleans()
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(VALUES, inner, max_size=2))
CONFIGS = st.dictionaries(st.sampled_from(KEYS), NESTED, max_size=3).map(
    lambda flat: "\n".join(f"{key.replace('.', ': {', 1)}: {value}" + "}" * ("." in key) for key, value in flat.items())
)
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def assert_ends_well(words, config=None):
    """Run a command in an empty folder: it ends in time, with a documented status, and leaves nothing if refused."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        if config is not None:
            Path("config.yaml").write_bytes(config)
        before = sorted(Path().rglob("*"))
        began = time.monotonic()
        faulthandler.dump_traceback_later(6 * SECONDS, exit=True, file=sys.__stderr__)
        try:
            status = main(words)
        except SystemExit as end:  # --help and --print_config
            status = end.code
        finally:
            faulthandler.cancel_dump_traceback_later()
        assert time.monotonic() - began < SECONDS, words
        assert status in (0, 1, 2), words
        if status == 2:
            assert sorted(Path().rglob("*")) == before, words
        assert not Path("harm").exists(), words


@pytest.mark.parametrize("part", [0, 1])
def test_no_command_line_ends_in_a_traceback(part, monkeypatch, capsys):
    @seed(SEED + part)
    @FUZZED
    @given(st.sampled_from([*COMMANDS, "fit", "fit", "fit"]), WORDS)
    def fuzz(command, words):
        monkeypatch.setattr("sys.argv", ["example", command, *words])
        assert_ends_well([command, *words, *(SMALL if command == "fit" else SMALL[:2])])
        assert "Traceback" not in capsys.readouterr().err

    fuzz()


def test_no_class_path_runs_what_it_names(monkeypatch, capsys):
    @seed(SEED)
    @FUZZED
    @given(st.sampled_from(PLACES), HARMFUL)
    def fuzz(key, spec):
        group, _, name = key.partition(".")
        words = ["fit", "--config=config.yaml", *SMALL]
        monkeypatch.setattr("sys.argv", ["example", *words])
        assert_ends_well(words, json.dumps({group: {name: spec} if name else spec}).encode())
        assert "Traceback" not in capsys.readouterr().err

    fuzz()


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_no_config_file_ends_in_a_traceback(command, monkeypatch, capsys):
    @seed(SEED)
    @FUZZED
    @given(
        CONFIGS.map(str.encode) | st.binary(max_size=20) | st.text(max_size=20).map(lambda text: text.encode("utf-16"))
    )
    def fuzz(config):
        words = [command, "--config=config.yaml", *SMALL[: 4 if command == "fit" else 2]]
        monkeypatch.setattr("sys.argv", ["example", *words])
        assert_ends_well(words, config)
        assert "Traceback" not in capsys.readouterr().err

    fuzz()


@needs_fork
@pytest.mark.parametrize("kind", marked(RUNS))
def test_a_crafted_checkpoint_is_a_run_that_equals_its_plain_twin_or_one_message(kind, tmp_path):
    cases, faults = Cases(tmp_path, RUNS[kind]), []
    for number in range(CRAFTED):
        rng = Random(f"{SEED} {kind} {number}")  # so that a case does not depend on the others
        (use,) = rng.choices(list(USES), [weight for weight, *_ in USES.values()])
        crafted = craft(cases.plain, rng)
        wrong = fault(cases, use, crafted)
        if wrong is not None:
            faults.append(f"{kind}, {number}, {use}: {crafted.what}: {wrong}")
    assert not faults, f"{len(faults)} of {CRAFTED}, with the seed {SEED}\n" + "\n".join(faults)
