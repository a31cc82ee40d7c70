"""Compiled programs on disk: without it, every process would wait seconds for the compiler.

Files in the cache folder are run as code. So only the user may read or write the folder, and a file is loaded only if
its content matches its name. The folder is made here and carries a mark: an existing folder without it is the user's
own, and is never used, cleaned or closed. A program's name is `KEY-DIGEST.so`: KEY is a hash of all that the program
depends on, and DIGEST is the SHA-256 of the file. A program is compiled in a temporary folder and then renamed, so that
processes that compile the same program at once do not disturb each other.
"""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from blockstep.compiled.operations import UnsupportedError

FOLDER = "blockstep-programs"
"""Made in the user's cache folder, or in the folder that the environment variable names."""

ENTRY = re.compile(r'extern "C" \w+ (\w+)\(')
"""Where a source names its function."""

MARK = "CACHEDIR.TAG"
"""File that marks the folder as ours; programs for backups know a cache by its name and its first line."""

MARKED = "Signature: 8a477f597d28d172789f06886806bc55\n# Programs compiled by blockstep. This folder can be deleted.\n"

MAX_BYTES = 64 * 2**20  # about a thousand programs
ABANDONED_S = 3600.0  # when the temporary folder of a build that was killed is removed

# The last three allow the compiler to vectorize loops: errno and floating-point exceptions are not used, and `omp simd`
# marks sums whose terms may be added in another order. -ffast-math is not used, since it ignores NaN and infinity.
FLAGS = ["-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]


def cache_folder() -> Path:
    """Return the folder of the programs, which lies in `$BLOCKSTEP_CACHE` or in the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("BLOCKSTEP_CACHE")
    return Path(os.path.expanduser(chosen) if chosen else user_cache_path()) / FOLDER  # noqa: PTH111 - never raises


def load(text: str, say: Callable[[str], None] = print) -> ctypes.CDLL:
    """Load a program from the cache folder. If it is not there, compile it first.

    Args:
        text: The whole C++ source.
        say: Called with a message before the program is compiled, which says where it will be kept.

    Raises:
        UnsupportedError: If there is no compiler, the compiler fails, or the folder cannot be used.
    """
    compiler = _compiler()
    folder = cache_folder()
    try:
        program = _found_or_built(text, compiler, private_folder(folder), say)
        os.utime(program)  # `_remove_oldest` goes by the time of last use
        library = ctypes.CDLL(str(program))
    except OSError as error:  # the disk is full, say, or programs must not be run from it
        raise UnsupportedError(f"the cache folder {folder} cannot be used: {error}") from error
    for name in ENTRY.findall(text):
        if not hasattr(library, name):
            program.unlink()
            raise UnsupportedError(f"the compiler {compiler} has built a program without {name}")
    return library


def _found_or_built(text: str, compiler: str, folder: Path, say: Callable[[str], None]) -> Path:
    key = _key(text, compiler)
    program = next(_valid_entries(folder, key), None)
    if program is None:
        say(
            f"compiling a program: it takes seconds, once, and is kept in {folder} "
            "(to clear it, delete that folder; to keep it elsewhere, set BLOCKSTEP_CACHE)"
        )
        program = _build(text, compiler, folder, key)
        _remove_oldest(folder)
    return program


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can read and write, with the mark, and return it.

    If a marked folder exists, the permissions of other users are removed. If they could write to it, its programs are
    deleted, since they may be foreign code.

    Raises:
        UnsupportedError: If it cannot be made, is not a folder of this user's, has no mark, or could be replaced by
            other users.
    """
    try:
        if not os.path.lexists(folder):
            _make(folder)
        _check_owner(folder)
    except OSError as error:
        raise UnsupportedError(f"the cache folder {folder} cannot be made: {error.strerror}") from error
    mode = folder.stat().st_mode
    if mode & 0o077:
        folder.chmod(0o700)
    if mode & 0o022:
        for entry in folder.glob("*.so"):
            entry.unlink(missing_ok=True)
    return folder


def _check_owner(folder: Path) -> None:
    above, found = folder.parent.stat(), folder.lstat()
    if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and _is_marked(folder)):
        why = f"the cache folder {folder} must be one that this program has made, and was not"
        raise UnsupportedError(f"{why}; rename it, or set BLOCKSTEP_CACHE to another folder")
    if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
        why = "the cache folder must not lie where every user can replace it"
        raise UnsupportedError(f"{why}; chmod o-w {folder.parent}, or set BLOCKSTEP_CACHE to another folder")


def _make(folder: Path) -> None:
    """Make the marked folder at once: a process that is killed, or one that does the same, leaves none without mark."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{FOLDER}-", dir=folder.parent, ignore_cleanup_errors=True) as place:
        Path(place, MARK).write_text(MARKED, encoding="utf-8")
        try:
            Path(place).rename(folder)
        except OSError:
            if not folder.is_dir():  # no other process has made it meanwhile
                raise


def _is_marked(folder: Path) -> bool:
    mark = folder / MARK
    if not os.path.lexists(mark):
        return False
    found = mark.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and mark.read_bytes() == MARKED.encode()


def _compiler() -> str:
    if os.name != "posix":
        raise UnsupportedError("programs are built with GCC or Clang, on Linux and macOS only")
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return os.path.realpath(path)
    raise UnsupportedError("no C++ compiler was found (c++, g++, clang++, or $CXX): install one")


def _flags() -> list[str]:
    # Both options compile for this machine's processor; compilers for ARM call it -mcpu.
    return [*FLAGS, "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"]


def _processor() -> str:
    """Return the processor's name and instruction sets, which decide what `native` compiles to."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() + platform.version()
    telling = ("model", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(telling)}))


def _key(text: str, compiler: str) -> str:
    """Return a hash of all that a program depends on.

    The text covers model, loss, optimizer and shapes. The rest decides which machine code is compiled from it.
    """
    tool = Path(compiler).stat()
    parts = [
        text,
        version("torch"),
        *_flags(),
        platform.platform(),
        _processor(),
        compiler,
        str(tool.st_size),
        str(tool.st_mtime_ns),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _valid_entries(folder: Path, key: str) -> Iterator[Path]:
    """Yield the key's files whose content matches their name. Delete the others."""
    for entry in folder.glob(f"{key}-*.so"):
        try:
            regular = stat.S_ISREG(entry.lstat().st_mode)
            if regular and entry.name == _name(key, entry.read_bytes()):
                yield entry
                continue
        except FileNotFoundError:  # another process has removed it
            continue
        entry.unlink(missing_ok=True)


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()}.so"


def _build(text: str, compiler: str, folder: Path, key: str) -> Path:
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as place:
        source, built = Path(place, "program.cpp"), Path(place, "program.so")
        source.write_text(text, encoding="utf-8")
        command = [compiler, *_flags(), str(source), "-o", str(built)]
        environment = {**os.environ, "TMPDIR": place}
        try:
            done = subprocess.run(  # noqa: S603 - the compiler, on code that this package has written
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment
            )
        except OSError as error:
            raise UnsupportedError(f"the C++ compiler {compiler} cannot be run: {error.strerror}") from error
        if done.returncode or not built.is_file():
            said = done.stderr.decode(errors="replace").splitlines()  # in whatever encoding the system has
            lines = [line for line in said if "error" in line] or [f"status {done.returncode}"]
            raise UnsupportedError(f"the C++ compiler {compiler} failed: {lines[0]}")
        with built.open("rb") as file:
            content = file.read()
            os.fsync(file.fileno())
        target = folder / _name(key, content)
        built.replace(target)
    return target


def _remove_oldest(folder: Path) -> None:
    """Delete the programs used longest ago beyond `MAX_BYTES`, and old temporary folders of killed builds."""
    total = 0
    for entry in sorted(folder.iterdir(), key=_last_use, reverse=True):
        if entry.name.startswith("build-") and time.time() - _last_use(entry) > ABANDONED_S:
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix == ".so":
            with suppress(FileNotFoundError):  # another process may have deleted it
                total += entry.lstat().st_size
                if total > MAX_BYTES:
                    entry.unlink()


def _last_use(entry: Path) -> float:
    try:
        return entry.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
