"""A checkpoint's pickle looked at before it is read: what torch reads as data only can still fill the memory."""

import io
import pickletools
import zipfile
from dataclasses import dataclass, field
from typing import Any

from blockstep.checkpoints.contents import MOST_LEVELS

GROWING = ("_codecs encode", "builtins bytearray", "__builtin__ bytearray")
"""What torch lets a pickle call, and what makes many bytes of few. torch itself saves none of them for plain values."""


class TooLargeError(ValueError):
    """A file would take more memory, or deeper recursion, than its size suggests. The message says by what."""


def check_archive(archive: bytes) -> None:
    """Raise TooLargeError unless torch can read a file in the memory that its size suggests.

    Args:
        archive: The file's content.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        entries = file.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise TooLargeError("is compressed, and could fill the memory")
        if sum(entry.file_size for entry in entries) > len(archive):
            raise TooLargeError("has entries that overlap, and could fill the memory")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                check_pickle(file.read(entry))


def check_pickle(data: bytes) -> None:
    """Raise TooLargeError for a pickle that calls what makes many bytes of few, or nests tuples deeply.

    A tuple may be a mapping's key, which is hashed by recursion as it is read.

    Args:
        data: The pickle.
    """
    stack = _Stack()
    for operation, argument, _ in pickletools.genops(data):
        if operation.name == "GLOBAL" and argument in GROWING:
            raise TooLargeError(f"calls {argument}, and could fill the memory")
        if stack.apply(operation, argument) > MOST_LEVELS:
            raise TooLargeError(f"has more than {MOST_LEVELS} levels of tuples")


@dataclass
class _Stack:
    """The unpickler's stack: of each value, the levels of tuples within each other."""

    levels: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[str, int] = field(default_factory=dict)

    def apply(self, operation: pickletools.OpcodeInfo, argument: Any) -> int:
        """Do what an operation does to the stack; return the levels of what it makes."""
        name, level = operation.name, 0
        if name == "MARK":
            self.marks.append(len(self.levels))
        elif "PUT" in name:
            self.memo[str(argument)] = self.levels[-1]
        elif "GET" in name:
            self.levels.append(self.memo[str(argument)])
        else:
            within = self._take(operation)
            level = 1 + max(within, default=0) if "TUPLE" in name else 0
            self.levels += [level] * len(operation.stack_after)
        return level

    def _take(self, operation: pickletools.OpcodeInfo) -> list[int]:
        count, start = len(operation.stack_before), len(self.levels)
        if pickletools.markobject in operation.stack_before:
            count, start = operation.stack_before.index(pickletools.markobject), self.marks.pop()
        taken = self.levels[start - count :]
        del self.levels[start - count :]
        return taken
