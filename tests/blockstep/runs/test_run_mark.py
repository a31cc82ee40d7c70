import shutil
from pathlib import Path

import pytest
import yaml

from blockstep.checkpoints.checkpoint_file import read_checkpoint
from blockstep.runs.run_mark import MARK, TEXT, config_beside, mark, marked_at, newest_last, plain_path, run_of_last

RUN = Path("runs/run/version_0")
LAST = RUN / "checkpoints" / "last.ckpt"
QUICK = ("--data.num_validation=50", "--data.batch_size=100")


def make_run(folder, at=None):
    """A folder that looks like a run's, marked if there is a time."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / "config.yaml").touch()
    if at is not None:
        (folder / MARK).write_text(TEXT.format(f"2026-11-25T00:00:00.{at:06d}+00:00"))
    return folder


def tree(folder):
    """The files of a folder and their contents."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is taken for a run


def test_the_run_of_a_checkpoint_in_the_current_folder_is_found(tmp_path, monkeypatch):
    make_run(tmp_path / "run", at=1)
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    assert run_of_last(Path("last.ckpt")) == tmp_path / "run"


@pytest.mark.parametrize("path", ["run/checkpoints/best.ckpt", "elsewhere/checkpoints/last.ckpt"])
def test_only_the_last_checkpoint_of_a_run_leads_to_its_run(path):
    make_run(Path("run"), at=1)
    assert run_of_last(Path(path)) is None


FOREIGN = {
    "none": None,
    "empty": b"",
    "words": b"A run of mine.\n",
    "no text": bytes(range(256)),
    "large": TEXT.format("2026-11-25T00:00:00.000001+00:00").encode() * 1000,
    "a 13th month": TEXT.format("2026-13-25T00:00:00.000001+00:00").encode(),
    "no time": TEXT.format("yesterday").encode(),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_without_our_mark_is_no_run(content):
    folder = make_run(Path("run"))
    if content is not None:
        (folder / MARK).write_bytes(content)
    assert marked_at(folder) is None
    assert config_beside(folder / "checkpoints" / "last.ckpt") is None


def test_a_folder_in_place_of_the_mark_is_no_mark():
    (make_run(Path("run")) / MARK).mkdir()
    assert marked_at(Path("run")) is None


def test_a_mark_that_was_written_is_read():
    mark(Path())
    assert marked_at(Path()) is not None


def test_a_checkpoint_below_a_config_of_the_users_starts_a_new_run_and_changes_nothing_there(example):
    assert example("fit", *QUICK) == 0
    backup = Path("mine/checkpoints")
    backup.mkdir(parents=True)
    shutil.copy(LAST, backup)
    (backup / ".notes.1.part").write_text("mine")
    Path("mine/config.yaml").write_text("seed_everything: 3\n")
    before = tree(Path("mine"))
    assert example("fit", f"--ckpt_path={backup}/last.ckpt", "--trainer.max_epochs=2", *QUICK) == 0
    assert tree(Path("mine")) == before
    assert read_checkpoint(Path("runs/run/version_1/checkpoints/last.ckpt"))["epoch"] == 2


# The newest


def test_a_copy_does_not_change_which_run_is_the_last(example):
    for name in ("old", "new"):
        assert example("fit", *QUICK, f"--name={name}") == 0
    shutil.copytree("runs/old", "runs/old copied without its times", copy_function=shutil.copyfile)
    assert newest_last(Path("runs")) == Path("runs/new/version_0/checkpoints/last.ckpt")


def test_a_run_that_goes_on_is_the_last(example):
    for name in ("old", "new"):
        assert example("fit", *QUICK, f"--name={name}") == 0
    old = Path("runs/old/version_0/checkpoints/last.ckpt")
    assert example("fit", f"--ckpt_path={old}", "--trainer.max_epochs=2") == 0
    assert newest_last(Path("runs")) == old


def test_of_runs_with_the_same_time_the_one_that_comes_last_by_name_and_version_is_the_last():
    for name in ("b/version_9", "b/version_10", "a/version_11"):
        make_run(Path("runs", name), at=5)
    make_run(Path("runs/c/version_0"), at=4)
    make_run(Path("runs/d/version_0"))
    assert newest_last(Path("runs")) == Path("runs/b/version_10/checkpoints/last.ckpt")


def test_finding_the_last_run_reads_the_marks_alone(monkeypatch):
    for number in range(200):
        folder = make_run(Path(f"runs/a/version_{number}"), at=number)
        (folder / "checkpoints" / "last.ckpt").chmod(0)
    read = []
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **options: read.append(path.name) or original(path, **options))
    assert newest_last(Path("runs")).parts[2] == "version_199"
    assert set(read) == {MARK}


# Its config


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_config_that_was_edited_is_not_believed(command, example, capsys):
    assert example("fit", *QUICK, "--model.optimizer=SGD", "--model.optimizer.lr=0.01") == 0
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    config["model"]["optimizer"]["init_args"]["lr"] = 0.5
    config["data"]["batch_size"] = 7
    del config["trainer"]["benchmark"]
    config["trainer"]["deterministic"] = True
    (RUN / "config.yaml").write_text(yaml.safe_dump(config))
    before = tree(Path())
    words = ["--trainer.max_epochs=2", "--allow_changes=true"] if command == "fit" else []
    assert example(command, f"--ckpt_path={LAST}", *words) == 2
    said = capsys.readouterr().err
    assert "model.optimizer.init_args.lr was 0.01 and would be 0.5" in said
    assert "data.batch_size was 100 and would be 7" in said
    assert "trainer.deterministic was None and would be True" in said
    assert tree(Path()) == before


@pytest.mark.parametrize("text", ["", "[", "a: &a [*a]", "- 1"])
def test_a_config_that_was_replaced_is_not_believed(text, example, capsys):
    assert example("fit", *QUICK) == 0
    (RUN / "config.yaml").write_text(text)
    assert example("fit", "--ckpt_path=last", "--trainer.max_epochs=2") == 2
    assert "config" in capsys.readouterr().err


def test_comments_order_and_limits_of_a_config_may_be_edited(example):
    assert example("fit", *QUICK) == 0
    config = yaml.safe_load((RUN / "config.yaml").read_text())
    config["trainer"]["max_epochs"] = 2
    (RUN / "config.yaml").write_text("# longer\n" + yaml.safe_dump(config, sort_keys=True))
    assert example("fit", "--ckpt_path=last") == 0
    assert read_checkpoint(LAST)["epoch"] == 2


# Its path

ROOTS = ["1e3", "-dash", "./-dash/a", "#x", "~", "~/a", "~nobody-of-this-name/x", "with spaces", "実験", "a'b"]


@pytest.mark.parametrize("root", ROOTS)
def test_a_run_in_a_folder_of_any_name_goes_on_and_predicts(root, example, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    words = f"--trainer.default_root_dir={root}"
    assert example("fit", *QUICK, words) == 0
    assert example("fit", words, "--ckpt_path=last", "--trainer.max_epochs=2") == 0
    (path,) = tmp_path.rglob("last.ckpt")
    assert (read_checkpoint(path)["epoch"], len(list(tmp_path.rglob("*.ckpt")))) == (2, 2)
    checkpoint = f"{root}/run/version_0/checkpoints/last.ckpt"
    assert example("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    assert example("predict", f"--ckpt_path={checkpoint}") == 0
    assert example("predict", words, "--ckpt_path=last") == 0
    assert len(list(tmp_path.rglob("*.ckpt"))) == 2


@pytest.mark.parametrize("root", ["a::b", "s3://bucket/x", "memory://", "null", "", "a\nb", "a\x1bb"])
def test_a_root_that_is_no_folder_of_this_machine_is_refused_and_leaves_nothing(root, example, capsys):
    assert example("fit", *QUICK, f"--trainer.default_root_dir={root}") == 2
    assert "trainer.default_root_dir must be the path of a folder on this machine" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_an_ordinary_path_is_left_as_it_is():
    assert [plain_path(path) for path in ("runs", "a/~b", "/a/-b", "")] == ["runs", "a/~b", "/a/-b", ""]
