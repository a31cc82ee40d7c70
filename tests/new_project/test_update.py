import pytest
from made import texts_of

from batchlab.new_project.manifest import MANIFEST, checksum

ERRORS = "src/blockstep/base/errors.py"
SHOWING = "src/blockstep/base/showing.py"
GONE = "src/blockstep/older/gone.py"


@pytest.fixture
def older(project):
    """A project with an older machinery: a file was otherwise, one was not there yet, and one was there."""
    manifest = project / MANIFEST
    lines = [line for line in manifest.read_text("utf-8").splitlines() if not line.endswith((ERRORS, SHOWING))]
    for path in (ERRORS, GONE):
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text("# older\n", newline="\n")
        lines.append(f"{checksum(b'# older' + bytes([10]))}  {path}")
    (project / SHOWING).unlink()
    manifest.write_text("\n".join(lines) + "\n", "utf-8")
    return project


def test_an_update_lays_the_newer_machinery_over_the_older_and_leaves_the_rest(older, new):
    assert new("other", "--name=quark_finder") == 0
    (older / "src/quark_finder/model.py").write_text("# mine\n")
    (older / "src/blockstep/mine.py").write_text("# mine too\n")
    assert new("--update", str(older)) == 0
    mine = {"src/quark_finder/model.py": "# mine\n", "src/blockstep/mine.py": "# mine too\n"}
    assert texts_of(older) == texts_of(older.parent / "other") | mine
    assert not (older / GONE).parent.exists()


def test_an_update_that_was_killed_is_repeated(older, new):
    current = texts_of(older)
    assert new("--update", str(older)) == 0
    updated = texts_of(older)
    (older / MANIFEST).write_text(current[MANIFEST], "utf-8")
    assert new("--update", str(older)) == 0
    assert texts_of(older) == updated


EDITS = {
    "edited": lambda project: (project / ERRORS).write_text("# mine\n"),
    "deleted": lambda project: (project / ERRORS).unlink(),
    "edited page": lambda project: (project / "docs/blocks.md").write_text("mine\n"),
    "in the way": lambda project: (project / SHOWING).write_text("# mine\n"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_update_names_what_was_edited_and_changes_nothing(edit, older, new, capsys):
    edit(older)
    before = texts_of(older)
    assert new("--update", str(older)) == 2
    message = capsys.readouterr().err
    assert any(path in message for path in (ERRORS, SHOWING, "docs/blocks.md"))
    assert "src/blockstep/base/atomic_files.py" not in message
    assert texts_of(older) == before


def test_line_ends_of_another_system_are_no_edit(project, new):
    path = project / ERRORS
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert new("--update", str(project)) == 0


def test_an_update_shows_what_the_newer_machinery_needs_in_pyproject(project, new, capsys):
    settings = project / "pyproject.toml"
    text = settings.read_text("utf-8")
    settings.write_text("".join(line for line in text.splitlines(keepends=True) if '"filelock' not in line), "utf-8")
    assert new("--update", str(project)) == 0
    shown = capsys.readouterr().out.splitlines()[2:]
    assert [line.split('"')[1] for line in shown] == ["filelock>=3.16"]


def test_a_folder_that_is_no_project_is_not_updated(tmp_path, new, capsys):
    assert new("--update", str(tmp_path)) == 2
    assert f"PATH must be a project that batchlab new has made: it has {MANIFEST}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_project_without_a_name_is_not_updated(project, new, capsys):
    (project / "pyproject.toml").write_text("")
    assert new("--update", str(project)) == 2
    assert "must have the project's name" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["../kept", "/kept"])
def test_a_list_that_names_a_file_elsewhere_is_refused(path, project, new, capsys):
    kept = project.parent / "kept"
    kept.write_bytes(b"")
    named = path if path.startswith("..") else str(kept)
    with (project / MANIFEST).open("a") as manifest:
        manifest.write(f"{checksum(b'')}  {named}\n")
    assert new("--update", str(project)) == 2
    assert "must list files of the project alone" in capsys.readouterr().err
    assert kept.exists()


def test_an_update_takes_no_name(project, new, capsys):
    assert new("--update", str(project), "--name=charm_finder") == 2
    assert "--update must be given PATH alone" in capsys.readouterr().err
