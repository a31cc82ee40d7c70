"""The list of a project's machinery files with their checksums, by which edited files are found."""

import hashlib
import re
from pathlib import Path, PurePosixPath

from blockstep.base.errors import BadInputError

MANIFEST = "blockstep.sha256"
"""The list's file in a project, in the form of `sha256sum`."""

FIRST_LINE = "# The machinery as batchlab {version} has it. batchlab new --update renews it; sha256sum -c checks it.\n"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def checksum(content: bytes) -> str:
    """Return the SHA-256 of a text file; line ends do not count, since git may change them."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def manifest_of(files: dict[str, str], version: str) -> str:
    """Return the list of files.

    Args:
        files: The text of each file by its path.
        version: The version of batchlab that they are from.
    """
    lines = [f"{checksum(text.encode())}  {path}\n" for path, text in sorted(files.items())]
    return FIRST_LINE.format(version=version) + "".join(lines)


def read_manifest(project: Path) -> dict[str, str]:
    """Return the checksum of each file that a project's list has, by the file's path.

    Raises:
        BadInputError: If the folder has no list, or one that names a file elsewhere.
    """
    path = project / MANIFEST
    if not path.is_file():
        raise BadInputError(
            f"PATH must be a project that batchlab new has made: it has {MANIFEST}. Got {project} instead."
        )
    matches = (LINE.fullmatch(line) for line in path.read_text("utf-8", errors="replace").splitlines())
    listed = {match[2]: match[1] for match in matches if match}
    for file in listed:
        if ".." in PurePosixPath(file).parts or Path(file).is_absolute():
            raise BadInputError(f"{path} must list files of the project alone. Got {file!r} instead.")
    return listed
