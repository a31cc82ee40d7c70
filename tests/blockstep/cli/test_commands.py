import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from example.cli import APPLICATION
from example.data import Points
from example.model import Classifier
from started import LAST, QUICK, RUN, logged, saved_config, start
from systems import needs_posix_files
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.cli.application import COMMANDS
from blockstep.runs.run_mark import MARK

# Without a run


def test_without_arguments_the_commands_are_listed(example, capsys):
    assert example() == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


def test_the_version_is_printed(example, capsys):
    assert example("--version") == 0
    assert capsys.readouterr().out == f"example {APPLICATION.version}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, example, capsys):
    with pytest.raises(SystemExit) as stop:
        example(command, "--help")
    assert stop.value.code == 0
    assert f"usage: example {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_every_key_that_belongs_to_no_class_is_explained(command, example, capsys):
    with pytest.raises(SystemExit):
        example(command, "--help=all")
    for part in capsys.readouterr().out.split("\n  --")[1:]:
        key, _, rest = part.partition("\n")
        if key.startswith(("epoch_report.", "seed_", "threads", "name", "ckpt_path", "allow", "on_nan", "output")):
            assert len((key + rest).split()) > 12, f"--{key} has no help"


def test_a_printed_config_is_yaml_that_a_person_can_read(example, capsys):
    with pytest.raises(SystemExit) as stop:
        example("fit", "--print_config")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Unable to serialize" not in text
    printed = yaml.safe_load(text)
    assert printed["data"]["batch_size"] == 10
    assert printed["model"]["optimizer"]["class_path"] == "torch.optim.SGD"
    assert printed["model"]["optimizer"]["init_args"]["lr"] == 0.1


# What a run prints and leaves


@pytest.mark.slow
def test_a_run_prints_a_line_for_its_epoch_and_three_that_sum_it_up_and_nothing_else():
    done = start("fit", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["epoch", "val/loss:", "stopped:", "run"]


def test_the_default_optimizer_is_the_models_own(example):
    assert example("fit", *QUICK) == 0
    saved = saved_config()["model"]["optimizer"]["init_args"]
    optimizer = Classifier().configure_optimizers()
    assert {key: optimizer.defaults[key] for key in saved} == saved


def test_a_run_folder_has_a_config_a_table_two_checkpoints_and_an_event_file(example):
    assert example("fit", *QUICK) == 0
    names = {str(path.relative_to(RUN)) for path in RUN.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    assert names - events - {".lock"} == {
        MARK,
        "config.yaml",
        "metrics.csv",
        str(Path("checkpoints/last.ckpt")),
        str(Path("checkpoints/best.ckpt")),
    }


def test_tensorboard_gets_each_metric_under_its_name(example):
    assert example("fit", *QUICK) == 0
    tags = EventAccumulator(str(RUN)).Reload().Tags()["scalars"]
    assert {"val/loss", "train/loss", "train/last_batch_loss", "time/epoch_sec"} <= set(tags)
    assert "hp_metric" not in tags


def test_the_saved_config_repeats_the_run_digit_for_digit(example):
    assert example("fit", *QUICK, "--seed_everything=7", "--model.width=4", "--data.shuffle=true") == 0
    assert example("fit", "--config", str(RUN / "config.yaml")) == 0
    again = RUN.with_name("version_1")
    assert logged("train/last_batch_loss") == logged("train/last_batch_loss", again)


def test_the_saved_config_of_a_resumed_run_names_no_checkpoint(example):
    assert example("fit", *QUICK) == 0
    assert example("fit", "--ckpt_path", LAST, "--trainer.max_epochs=2") == 0
    assert saved_config()["ckpt_path"] is None


def test_without_a_logger_there_are_still_a_config_and_checkpoints(example):
    for _ in range(2):
        assert example("fit", *QUICK, "--trainer.logger=false") == 0
    assert sorted(path.name for path in RUN.with_name("version_1").iterdir()) == [
        ".lock",
        MARK,
        "checkpoints",
        "config.yaml",
    ]


def test_an_optimizer_that_replaces_the_default_one_has_its_own_defaults(example):
    assert example("fit", *QUICK, "--model.optimizer=AdamW") == 0
    given = saved_config()["model"]["optimizer"]["init_args"]
    assert (given["lr"], given["weight_decay"]) == (0.001, 0.01)


# From a checkpoint


@pytest.fixture
def trained(example, capsys):
    """A run whose settings are not the defaults."""
    words = ("--model.width=4", "--model.optimizer=Adam", "--model.optimizer.lr=0.02", "--data.seed=3")
    assert example("fit", *QUICK, *words) == 0
    capsys.readouterr()


@pytest.mark.usefixtures("trained")
def test_a_validation_repeats_the_last_figure_of_the_run(example, capsys):
    assert example("validate", "--ckpt_path", LAST) == 0
    (loss,) = logged("val/loss")
    assert loss in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_a_test_evaluates_the_checkpoints_model_on_its_test_data(example, capsys):
    assert example("test", "--ckpt_path", LAST) == 0
    assert "test/loss" in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command", ["validate", "test"])
def test_an_evaluation_writes_no_files(command, example):
    before = set(Path().rglob("*"))
    assert example(command, "--ckpt_path", LAST) == 0
    assert set(Path().rglob("*")) == before


@pytest.mark.usefixtures("trained")
def test_predictions_are_a_table_of_inputs_predictions_and_labels(example):
    assert example("predict", "--ckpt_path", LAST, "--output=table.csv") == 0
    assert Path("table.csv").read_text().startswith("x1,x2,y1,label\n")
    table = torch.from_numpy(np.loadtxt("table.csv", delimiter=",", skiprows=1, dtype=np.float32))
    assert table.shape == (50, 4)
    data = Points(num_test=50, seed=3)
    data.setup("predict")
    torch.testing.assert_close(table[:, 3:], data.test.tensors[1])
    model = Classifier.load_from_checkpoint(LAST)
    torch.testing.assert_close(torch.sigmoid(model(table[:, :2]))[:, 0], table[:, 2])


@pytest.mark.usefixtures("trained")
def test_predictions_go_to_the_file_that_a_link_leads_to(example):
    Path("elsewhere").mkdir()
    Path("table.csv").symlink_to(Path("elsewhere/real.csv"))
    assert example("predict", "--ckpt_path", LAST, "--output=table.csv") == 0
    assert Path("table.csv").is_symlink()
    assert Path("elsewhere/real.csv").read_text().startswith("x1,x2,y1,label\n")


@pytest.mark.usefixtures("trained")
def test_predictions_for_a_folder_that_does_not_exist_are_refused(example, capsys):
    assert example("predict", "--ckpt_path", LAST, "--output=nowhere/table.csv") == 2
    assert "output must be a file in a folder that exists" in capsys.readouterr().err


@needs_posix_files
@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("output", ["/dev/null", "pipe", "link"])
def test_predictions_do_not_replace_a_device_or_a_pipe(output, example, capsys):
    os.mkfifo("pipe")
    Path("link").symlink_to("/dev/null")
    assert example("predict", "--ckpt_path", LAST, f"--output={output}") == 2
    assert "output must be a file in a folder that exists" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()
    assert Path("pipe").is_fifo()


READ_OR_OF_A_RUN = {
    "the checkpoint": LAST,
    "another spelling of it": f"{RUN}/../version_0/checkpoints/./last.ckpt",
    "a link to it": "link",
    "a config": "mine.yaml",
    "the table of a run": f"{RUN}/metrics.csv",
    "the config of a run": f"{RUN}/config.yaml",
    "another checkpoint": f"{RUN}/checkpoints/best.ckpt",
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("output", READ_OR_OF_A_RUN.values(), ids=READ_OR_OF_A_RUN)
def test_predictions_replace_nothing_that_is_read_or_of_a_run(output, example, capsys):
    Path("mine.yaml").write_text("seed_everything: 1\n")
    Path("link").symlink_to(LAST)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert example("predict", "--config=mine.yaml", "--ckpt_path", LAST, f"--output={output}") == 2
    assert "output must " in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("name", ["events", "copy.ckpt"])
def test_predictions_do_not_replace_event_files_nor_a_checkpoint_that_lies_elsewhere(name, example, capsys):
    (events,) = RUN.glob("events.out.tfevents*")
    Path("copy.ckpt").write_bytes(Path(LAST).read_bytes())
    output = events if name == "events" else Path(name)
    before = output.read_bytes()
    assert example("predict", "--ckpt_path=copy.ckpt", f"--output={output}") == 2
    assert output.read_bytes() == before


@pytest.mark.usefixtures("trained")
def test_predictions_may_be_a_new_file_in_a_run_and_replace_an_old_table_elsewhere(example):
    for output in (f"{RUN}/table.csv", "table.csv", "table.csv"):
        assert example("predict", "--ckpt_path", LAST, f"--output={output}") == 0


@pytest.mark.slow
def test_predictions_in_two_processes_are_refused():
    assert start("fit", *QUICK).returncode == 0
    done = start("predict", "--ckpt_path=last", "--trainer.devices=2", "--trainer.strategy=ddp")
    assert done.returncode == 2
    assert "trainer.devices must be 1 to predict" in done.stderr


@pytest.mark.usefixtures("trained")
def test_the_command_line_goes_before_the_settings_of_the_checkpoint(example):
    words = ("--data.batch_size=55", "--trainer.max_epochs=2", "--allow_changes=true")
    assert example("fit", "--ckpt_path", LAST, *words) == 0
    saved = saved_config(RUN.with_name("version_1"))
    assert saved["model"]["optimizer"]["class_path"].endswith("Adam")
    assert (saved["model"]["width"], saved["data"]["batch_size"]) == (4, 55)


@pytest.mark.usefixtures("trained")
def test_a_run_goes_on_from_within_its_own_folder(example, monkeypatch):
    monkeypatch.chdir(RUN / "checkpoints")
    assert example("fit", "--ckpt_path=last.ckpt", "--trainer.max_epochs=2") == 0
    assert not Path("runs").exists()
    assert read_checkpoint(Path("last.ckpt"))["epoch"] == 2
