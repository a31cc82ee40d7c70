"""Compiled programs on disk: built once, then loaded in milliseconds by every later process.

What lies in the folder is run as code, so the folder is the user's alone, and a file is loaded only if its bytes are
those that its name promises: `KEY-DIGEST.so`, KEY being the sha256 of all that the program depends on and DIGEST that
of the file. A file appears under such a name whole or not at all; two processes that build at once both succeed.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from batchlab.compiled.operations import UnsupportedError

MAX_BYTES = 64 * 2**20  # some thousand programs
ABANDONED_S = 3600.0  # a build that died leaves its temporary folder

# The last three let loops be vectorized: nobody reads errno or floating-point exceptions, and `omp simd` marks the
# sums that may be reordered. No -ffast-math: nan and infinity mean what they mean in eager.
FLAGS = ["-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]


def cache_folder() -> Path:
    """Where programs are kept: `$BATCHLAB_CACHE`, or the user's cache folder as the platform has it."""
    chosen = os.environ.get("BATCHLAB_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return Path(user_cache_path("batchlab"), "programs")


def load(text: str, say: Callable[[str], None] = print) -> ctypes.CDLL:
    """The program of a C++ text, built now if it is not on disk.

    Args:
        text: The whole source.
        say: Is told when something has to be built, and where it is kept.

    Raises:
        UnsupportedError: There is no compiler, it fails, or the folder cannot be made private.
    """
    compiler = _compiler()
    folder = private_folder(cache_folder())
    key = _key(text, compiler)
    try:
        program = next(_sound_entries(folder, key), None)
        if program is None:
            say(
                f"compiling the training step: it takes seconds, once, and is kept in {folder} "
                "(to clear it, delete that folder; to keep it elsewhere, set BATCHLAB_CACHE)"
            )
            program = _build(text, compiler, folder, key)
            _remove_oldest(folder)
        os.utime(program)  # the time of last use decides what is removed first
        return ctypes.CDLL(str(program))
    except OSError as error:  # a full disk, a folder that cannot be written to or run from
        raise UnsupportedError(f"the cache folder {folder} cannot be used: {error}") from error


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user can write to; empty one that others could write to, and close it.

    Raises:
        UnsupportedError: It belongs to someone else, or is no folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise UnsupportedError(f"the cache folder {folder} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnsupportedError(f"the cache folder {folder} must be a folder of your own; set BATCHLAB_CACHE to another")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
        if found.st_mode & 0o022:
            for entry in folder.glob("*.so"):
                entry.unlink(missing_ok=True)
    return folder


def _compiler() -> str:
    if os.name != "posix":
        raise UnsupportedError("programs are built with GCC or Clang, on Linux and macOS only")
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return os.path.realpath(path)
    raise UnsupportedError("no C++ compiler was found (c++, g++, clang++, or $CXX): install one")


def _flags() -> list[str]:
    # For this machine's own processor; compilers for ARM know it under the other name.
    return [*FLAGS, "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"]


def _processor() -> str:
    """What `native` means here: the processor's name and capabilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() + platform.version()
    telling = ("model", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(telling)}))


def _key(text: str, compiler: str) -> str:
    """The text says model, loss, optimizer and shapes; the rest is what turns it into machine code."""
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


def _sound_entries(folder: Path, key: str) -> Iterator[Path]:
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
        source.write_text(text)
        command = [compiler, *_flags(), str(source), "-o", str(built)]
        done = subprocess.run(  # noqa: S603 - the compiler, on our own text
            command, capture_output=True, text=True, env={**os.environ, "TMPDIR": place}, check=False
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or [f"status {done.returncode}"]
            raise UnsupportedError(f"the C++ compiler {compiler} failed: {lines[0]}")
        with built.open("rb") as file:
            content = file.read()
            os.fsync(file.fileno())
        target = folder / _name(key, content)
        built.replace(target)
    return target


def _remove_oldest(folder: Path) -> None:
    """Keep the folder small, and free of what interrupted builds have left."""
    total = 0
    for entry in sorted(folder.iterdir(), key=_last_use, reverse=True):
        if entry.name.startswith("build-") and time.time() - _last_use(entry) > ABANDONED_S:
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix == ".so":
            with suppress(FileNotFoundError):  # another process may be doing the same
                total += entry.lstat().st_size
                if total > MAX_BYTES:
                    entry.unlink()


def _last_use(entry: Path) -> float:
    try:
        return entry.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
