from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blockstep.base.errors import BadInputError
from blockstep.runs.run_folder import RunFolder, create_run_folder, new_run_folder
from blockstep.runs.run_mark import mark


def test_versions_count_up(tmp_path):
    assert [create_run_folder(tmp_path, "a").name for _ in range(12)] == [f"version_{n}" for n in range(12)]


def test_a_version_is_not_used_again_while_a_later_one_exists(tmp_path):
    for _ in range(3):
        create_run_folder(tmp_path, "a")
    (tmp_path / "a" / "version_1").rmdir()
    assert create_run_folder(tmp_path, "a").name == "version_3"


def test_folders_with_other_names_do_not_count(tmp_path):
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
def test_names_that_are_not_those_of_a_single_folder_are_refused(name, tmp_path):
    with pytest.raises(BadInputError, match="name must be a folder's name"):
        create_run_folder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_more_bytes_than_a_file_system_allows_is_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"at most 255 bytes.*has 300"):
        create_run_folder(tmp_path / "runs", "実" * 100)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_runs_folder_is_refused():
    Path("runs").touch()
    with pytest.raises(BadInputError, match=r"trainer\.default_root_dir must be a folder that can be written to"):
        create_run_folder(Path("runs"), "a")


def test_unfinished_files_of_a_killed_process_are_removed_from_a_run_and_from_no_other_folder(tmp_path):
    for name in ("run", "other"):
        unfinished = [f"{name}/checkpoints/.last.ckpt.17.part", f"{name}/.last.ckpt.end.part"]
        kept = [f"{name}/part", f"{name}/.thesis.part", f"{name}/.a.b.part"]
        for path in (*unfinished, *kept):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
        Path(f"{name}/.folder.1.part").mkdir()
    mark(Path("run"))
    before = set(Path().rglob("*.part"))
    for name in ("run", "other"):
        RunFolder(Path(name), is_new=False).release()
    assert before - set(Path().rglob("*.part")) == {
        Path("run/checkpoints/.last.ckpt.17.part"),
        Path("run/.last.ckpt.end.part"),
    }


def test_a_new_folder_is_discarded_with_the_folders_that_were_made_for_it_and_are_then_empty(tmp_path):
    first, second = (new_run_folder(tmp_path / "all" / "runs", name) for name in ("a", "b"))
    second.discard()
    assert [path.name for path in (tmp_path / "all" / "runs").iterdir()] == ["a"]
    first.discard()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_there_before_is_not_removed(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    new_run_folder(tmp_path / "runs", "a").discard()
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / "runs" / "a"]


def test_the_folder_of_a_resumed_run_is_not_removed_when_it_is_discarded(tmp_path):
    path = create_run_folder(tmp_path, "a")
    RunFolder(path, is_new=False).discard()
    assert path.exists()
