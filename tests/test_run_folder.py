from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchlab.errors import BadInputError
from batchlab.run_folder import create_run_folder, run_of_last


def test_versions_count_up(tmp_path):
    assert [create_run_folder(tmp_path, "a").name for _ in range(12)] == [f"version_{n}" for n in range(12)]


def test_a_version_is_never_used_again_while_a_later_one_exists(tmp_path):
    for _ in range(3):
        create_run_folder(tmp_path, "a")
    (tmp_path / "a" / "version_1").rmdir()
    assert create_run_folder(tmp_path, "a").name == "version_3"


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "a" / "version_old").mkdir(parents=True)
    assert create_run_folder(tmp_path, "a").name == "version_0"


def test_runs_that_start_at_once_get_a_folder_each(tmp_path):
    with ThreadPoolExecutor(20) as pool:
        folders = list(pool.map(lambda _: create_run_folder(tmp_path, "a"), range(100)))
    assert len(set(folders)) == 100


@pytest.mark.parametrize("name", ["mini batch", "läuft", "実験1", "a.b-c+d_e", "x" * 100, "実" * 85])
def test_ordinary_names_are_taken_as_they_are(name, tmp_path):
    assert create_run_folder(tmp_path, name) == tmp_path / name / "version_0"


IMPOSSIBLE = ["", ".", "..", "a/b", "../a", "a\\b", "a\n", " a", "a ", "a.", "a\0b", "x" * 101, "/a"]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_names_that_are_no_single_folder_are_refused(name, tmp_path):
    with pytest.raises(BadInputError, match="name must be a folder's name"):
        create_run_folder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_more_bytes_than_a_file_system_takes_is_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"at most 255 bytes.*has 300"):
        create_run_folder(tmp_path / "runs", "実" * 100)
    assert list(tmp_path.iterdir()) == []


def test_the_run_of_a_checkpoint_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").touch()
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    assert run_of_last(Path("last.ckpt")) == tmp_path / "run"


def test_a_file_in_the_way_is_refused():
    Path("runs").touch()
    with pytest.raises(BadInputError, match=r"trainer\.default_root_dir must be a folder that can be written to"):
        create_run_folder(Path("runs"), "a")
