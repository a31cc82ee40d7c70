import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from made import ROOT, run_in, texts_of
from systems import needs_bash, needs_posix_files

from batchlab.new_project.sources import CODE, EXAMPLES, FRAME, PAGES, find_files, read_file


def git(folder, *words):
    """What git prints."""
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_name_stands_in_pyproject_and_the_pages_alone(project):
    named = {path for path, text in texts_of(project).items() if "quark_finder" in text and not path.endswith(".md")}
    assert named == {"pyproject.toml"}
    assert {path.name for path in (project / "src").iterdir()} == {"quark_finder", "blockstep"}


def test_batchlab_is_named_where_a_project_says_what_it_is_copied_from(project):
    named = {path for path, text in texts_of(project).items() if "batchlab" in text.lower()}
    assert named == {"README.md", "CHANGELOG.md", "LICENSE", "blockstep.sha256"}


def test_the_machinery_is_copied_as_it_is(project):
    ours = {file: read_file(file) for file in find_files(*CODE)}
    assert len(ours) > 100
    theirs = texts_of(project)
    assert ours == {path: text for path, text in theirs.items() if path in ours}
    assert {path for path in theirs if path.startswith("src/blockstep/")} <= ours.keys()


def test_a_project_has_what_it_needs_and_nothing_else(project):
    assert {path.name for path in project.iterdir()} == {
        *(".ci", ".editorconfig", ".git", ".github", ".gitignore", ".pre-commit-config.yaml"),
        *("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "blockstep.sha256", "configs", "constraints.txt"),
        *("docs", "pyproject.toml", "src", "tests"),
    }
    assert not list(project.rglob("*new_project*"))


def test_every_link_of_the_pages_leads_somewhere(project):
    pages = [*project.glob("*.md"), *project.glob("docs/*.md")]
    links = [page.parent / link for page in pages for link in re.findall(r"\]\(([^)#:]+)", page.read_text("utf-8"))]
    assert len(links) > 5
    assert [link for link in links if not link.exists()] == []


def test_no_mark_of_what_is_left_out_is_left(project):
    assert not [
        path for path, text in texts_of(project).items() if "batchlab new keeps" in text or "until here" in text
    ]


def test_its_own_ci_does_not_run_the_tests_of_new(project):
    assert "new_project" not in (project / "pyproject.toml").read_text("utf-8")
    assert " new " not in (project / ".ci" / "run").read_text("utf-8")


@needs_bash
def test_its_ci_is_a_program_that_bash_reads(project):
    assert os.access(project / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ".ci/run"], cwd=project, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_trains_as_the_projects_own(example, new):
    assert new("own", "--name=quark_finder", f"--example={example}") == 0
    printed = run_in(Path("own").resolve(), "-m", "quark_finder", "fit")
    assert re.search(r"epoch = 0, time = .*, loss = \d\.\d+\n", printed)


def test_the_folders_name_is_the_default_name(new):
    assert new("charm_finder") == 0
    assert tomllib.loads(Path("charm_finder/pyproject.toml").read_text("utf-8"))["project"]["name"] == "charm_finder"


def test_the_first_commit_has_everything(project):
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%s") == "Start quark_finder\n"
    assert set(git(project, "ls-files").split()) == set(texts_of(project))


def test_without_an_author_the_projects_developers_commit(new, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert new("own", "--name=quark_finder") == 0
    assert git("own", "log", "--format=%an") == "The quark_finder developers\n"


def test_a_project_is_made_within_a_hook_of_another_repository(new, monkeypatch):
    git(".", "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(Path("other/.git").resolve()))
    assert new("own", "--name=quark_finder") == 0
    monkeypatch.delenv("GIT_DIR")
    assert git("own", "log", "--format=%s") == "Start quark_finder\n"


def test_without_git_a_project_has_no_first_commit(new, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert new("own", "--name=quark_finder") == 0
    assert not Path("own/.git").exists()


def test_a_commit_that_fails_ends_with_1_and_loses_nothing(new, monkeypatch, capsys):
    Path("config").write_text("[broken")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(Path("config").resolve()))
    assert new("own", "--name=quark_finder") == 1
    assert "git could not make the first commit" in capsys.readouterr().err
    assert Path("own/README.md").exists()


NAMES = {
    "nothing": "",
    "no name of Python": "quark-finder",
    "a number first": "1quark",
    "an underscore last, which PyPI refuses": "quark_",
    "an underscore first, which PyPI refuses": "_quark",
    "a letter that PyPI refuses": "quärk",
    "a path": "quark/finder",
    "a line": "quark\n",
    "too long for a file": "q" * 61,
    "a keyword": "class",
    "of the standard library": "Statistics",
    "installed": "numpy",
    "installed under another name": "yaml",
    "the machinery's": "blockstep",
    "this project's": "batchlab",
    "of a module of the tests": "processes",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_that_cannot_be_imported_or_published_is_refused(name, new, capsys):
    assert new("own", f"--name={name}") == 2
    message = capsys.readouterr().err
    assert message.startswith("batchlab: error: --name must be")
    assert f"Got {name!r} instead." in message
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("place", ["a file", "a folder with a file", "a file/below"])
def test_a_path_that_holds_something_is_left_as_it_is(place, new, capsys):
    Path("a file").write_text("kept")
    Path("a folder with a file").mkdir()
    Path("a folder with a file", "kept").touch()
    before = sorted(Path().rglob("*"))
    assert new(place, "--name=quark_finder") == 2
    assert "PATH must" in capsys.readouterr().err
    assert sorted(Path().rglob("*")) == before
    assert Path("a file").read_text() == "kept"


def test_an_empty_folder_and_folders_that_are_not_there_are_places(new):
    Path("empty").mkdir()
    assert new("empty", "--name=quark_finder") == 0
    assert new("far/away", "--name=quark_finder") == 0
    assert texts_of(Path("empty")) == texts_of(Path("far/away"))
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "far"]


@needs_posix_files
def test_a_link_is_followed_to_an_empty_folder_alone(new):
    Path("full").mkdir()
    Path("full/kept").touch()
    Path("link").symlink_to("full")
    assert new("link", "--name=quark_finder") == 2
    Path("full/kept").unlink()
    assert new("link", "--name=quark_finder") == 0
    assert Path("full/README.md").exists()


def test_an_installed_wheel_makes_the_same_project(project, tmp_path):
    """The wheel is laid out by hand, as pyproject.toml says: to build one takes what the tests do not have."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    site = tmp_path / "site"
    places = {package: package.removeprefix("src/") for package in wheel["packages"]} | wheel["force-include"]
    for start, place in places.items():
        for path in [ROOT / start] if (ROOT / start).is_file() else (ROOT / start).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = site / place / path.relative_to(ROOT / start)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    command = ["-m", "batchlab", "new", "from_wheel", "--name=quark_finder"]
    run_in(tmp_path, *command, PYTHONPATH=str(site))
    assert texts_of(tmp_path / "from_wheel") == texts_of(project)


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_the_packages_have_whatever_a_project_is_made_of(target):
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][target]
    packed = build.get("include") or [*build["packages"], *build["force-include"]]
    packed = [*packed, "pyproject.toml"]  # hatchling takes it into any source distribution
    needed = {*CODE, *PAGES, *FRAME, *(place for example in EXAMPLES.values() for place in example.files)}
    assert [place for place in needed if not any(place.startswith(p) or fnmatch(place, p) for p in packed)] == []


def test_it_works_from_a_clone_where_nothing_is_installed(tmp_path):
    bare = ["-S", "-m", "batchlab", "new", "own", "--name=quark_finder"]  # -S: without what is installed
    subprocess.run([sys.executable, *bare], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, check=True)
    assert Path("own/README.md").exists()
