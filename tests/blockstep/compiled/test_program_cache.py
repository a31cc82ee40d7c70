"""Programs on disk: private, whole, rebuilt when damaged, bounded."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from platformdirs import user_cache_path
from systems import needs_compiler

from blockstep.compiled import program_cache
from blockstep.compiled.operations import UnsupportedError
from blockstep.compiled.program_cache import load

pytestmark = needs_compiler
ANSWER = 'extern "C" int answer() {{ return {}; }}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("BLOCKSTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / program_cache.FOLDER


def names(folder: Path) -> set[str]:
    """What lies in the cache, beside its mark."""
    return {entry.name for entry in folder.iterdir()} - {program_cache.MARK}


def test_a_program_is_built_once_and_the_message_says_where_it_is_kept(folder: Path) -> None:
    said: list[str] = []
    assert load(ANSWER.format(1), said.append).answer() == 1
    assert load(ANSWER.format(1), said.append).answer() == 1
    assert len(said) == 1
    assert str(folder) in said[0]
    assert "delete that folder" in said[0]
    assert [Path(name).suffix for name in names(folder)] == [".so"]


def test_another_text_is_another_program(folder: Path) -> None:
    assert load(ANSWER.format(1), print).answer() == 1
    assert load(ANSWER.format(2), print).answer() == 2
    assert len(list(folder.glob("*.so"))) == 2


def test_other_flags_or_another_processor_make_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = program_cache._compiler()
    keys = {program_cache._key("text", compiler)}
    monkeypatch.setattr(program_cache, "_processor", lambda: "another")
    keys.add(program_cache._key("text", compiler))
    monkeypatch.setattr(program_cache, "FLAGS", ["-O0"])
    keys.add(program_cache._key("text", compiler))
    assert len(keys) == 3


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-1] + b"?"])
def test_a_damaged_entry_is_rebuilt(folder: Path, damage: object) -> None:
    assert callable(damage)
    load(ANSWER.format(3), print)
    (entry,) = folder.glob("*.so")
    content = entry.read_bytes()
    entry.unlink()  # what is loaded already stays whole
    entry.write_bytes(damage(content))
    said: list[str] = []
    assert load(ANSWER.format(3), said.append).answer() == 3
    assert len(said) == 1
    assert entry.read_bytes() == content


def test_a_foreign_file_under_the_right_key_is_never_loaded(folder: Path) -> None:
    load(ANSWER.format(4), print)
    (entry,) = folder.glob("*.so")
    foreign = entry.with_name(entry.name.split("-")[0] + "-" + "0" * 64 + ".so")
    entry.rename(foreign)
    said: list[str] = []
    assert load(ANSWER.format(4), said.append).answer() == 4
    assert len(said) == 1
    assert not foreign.exists()


def test_a_program_that_cannot_be_loaded_is_a_reason_that_says_where(folder: Path) -> None:
    text = 'extern "C" int nowhere(); extern "C" int answer() { return nowhere(); }'
    # Linux finds out as it loads the program, macOS as it links it.
    with pytest.raises(UnsupportedError, match=f"{folder} cannot be used: .*nowhere|the C\\+\\+ compiler .* failed"):
        load(text, print)


def test_programs_are_kept_where_the_platform_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLOCKSTEP_CACHE")
    assert program_cache.cache_folder() == user_cache_path() / program_cache.FOLDER


def test_the_folder_is_the_users_alone(folder: Path) -> None:
    load(ANSWER.format(5), print)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_could_write_to_is_emptied_and_closed(folder: Path) -> None:
    load(ANSWER.format(6), print)
    folder.chmod(0o777)
    said: list[str] = []
    load(ANSWER.format(6), said.append)
    assert len(said) == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def tree(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode, size and time of the folder and all that lies in it."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (entry.st_mode, entry.st_size, entry.st_mtime_ns) for path, entry in found.items()}


def fill(folder: Path) -> None:
    """Make what an old build folder and a large library of the user's look like."""
    (folder / "build-old").mkdir(parents=True)
    (folder / "build-old" / "thesis.txt").write_text("years")
    with (folder / "large.so").open("wb") as file:
        file.truncate(2 * program_cache.MAX_BYTES)
    for path in (folder / "build-old", folder / "large.so"):
        os.utime(path, (1, 1))
    folder.chmod(0o777)


def test_a_folder_of_the_users_that_holds_the_cache_loses_nothing_and_keeps_its_mode(folder: Path) -> None:
    fill(folder.parent)
    folder.parent.chmod(0o775)
    mode, before = folder.parent.stat().st_mode, {path: tree(path) for path in folder.parent.iterdir()}
    load(ANSWER.format(11), print)
    assert folder.parent.stat().st_mode == mode
    assert {path: tree(path) for path in folder.parent.iterdir() if path != folder} == before


@pytest.mark.parametrize("mark", [None, "", "# Programs compiled by another program.\n"])
def test_a_folder_without_our_mark_is_neither_used_nor_changed(folder: Path, mark: str | None) -> None:
    fill(folder)
    if mark is not None:
        (folder / program_cache.MARK).write_text(mark)
    before = tree(folder.parent)
    with pytest.raises(UnsupportedError, match="must be one that this program has made"):
        load(ANSWER.format(7), print)
    assert tree(folder.parent) == before


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    load(ANSWER.format(7), print)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsupportedError, match="must be one that this program has made"):
        load(ANSWER.format(7), print)


def test_a_cache_that_every_user_could_replace_is_refused(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.chmod(0o777)
    with pytest.raises(UnsupportedError, match="where every user can replace it; chmod o-w"):
        load(ANSWER.format(7), print)


def test_a_home_of_nobody_is_a_folders_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCKSTEP_CACHE", "~nobody-of-this-name/cache")
    assert load(ANSWER.format(12), print).answer() == 12
    assert (tmp_path / "~nobody-of-this-name/cache" / program_cache.FOLDER).is_dir()


def test_the_programs_used_longest_ago_are_removed_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        load(ANSWER.format(number), print)
    entries = list(folder.glob("*.so"))
    os.utime(entries[0], (1, 1))
    monkeypatch.setattr(program_cache, "MAX_BYTES", sum(entry.stat().st_size for entry in entries))
    load(ANSWER.format(8), print)
    assert not entries[0].exists()
    assert entries[1].exists()


def test_without_a_compiler_the_reason_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UnsupportedError, match="no C\\+\\+ compiler"):
        load(ANSWER.format(9), print)


def test_a_compilers_error_is_passed_on_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="error"):
        load("no C++", print)
    assert names(folder) == set()


COMPILERS = {
    "prints Latin-1": ("#!/bin/sh\nprintf 'error: \\351\\377' >&2; exit 1\n", "failed: error: "),
    "writes nothing": ("#!/bin/sh\n", "failed: status 0"),
    "is killed": ("#!/bin/sh\nkill -9 $$\n", "failed: status -9"),
    "is no program": ("words", "cannot be run: "),
    "builds another program": (
        '#!/bin/sh\nfor last; do :; done; echo "int other;" | g++ -shared -fPIC -x c++ - -o "$last"\n',
        "has built a program without answer",
    ),
    "writes no program": ("#!/bin/sh\nfor last; do :; done; echo words > $last\n", "cannot be used: "),
}


@pytest.mark.parametrize(("script", "why"), COMPILERS.values(), ids=COMPILERS)
def test_whatever_is_wrong_with_a_compiler_is_a_reason(
    script: str, why: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(script)
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(UnsupportedError, match=why):
        load(ANSWER.format(13), print)


@pytest.mark.slow
def test_processes_that_build_at_once_all_succeed(folder: Path) -> None:
    use = f"print(load({ANSWER.format(10)!r}, lambda _: None).answer())"
    code = f"from blockstep.compiled.program_cache import load; {use}"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=120)[0] for process in running] == [b"10\n"] * 3
    assert {Path(name).suffix for name in names(folder)} == {".so"}


@pytest.mark.slow
def test_a_warm_process_records_and_loads_without_running_a_compiler(folder: Path) -> None:
    code = (
        "import torch; from blockstep.compiled.block import CompiledBlock; net = torch.nn.Linear(2, 1);"
        "x, t = torch.ones(6, 2), torch.ones(6, 1);"
        "loss = lambda x, t: torch.nn.functional.binary_cross_entropy(net(x).sigmoid(), t);"
        "CompiledBlock(net, torch.optim.SGD(net.parameters()), loss, (x[:3], t[:3])).run(x, t)"
    )
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert "once" in said[0].stdout
    assert said[1].stdout == ""
    assert len(list(folder.glob("*.so"))) == 1


def test_what_an_interrupted_build_has_left_is_removed_after_an_hour(folder: Path) -> None:
    load(ANSWER.format(1), print)
    for name, age in (("build-old", 7200), ("build-new", 0)):  # within the marked folder
        (folder / name).mkdir()
        os.utime(folder / name, (time.time() - age, time.time() - age))
    load(ANSWER.format(2), print)
    assert {entry.name for entry in folder.glob("build-*")} == {"build-new"}
