"""Event files, written in the calling thread.

TensorBoard's own writer hands each record to a second thread and waits for it without end. The C library's condition
variables can lose a wake-up (glibc bug 25847, mended in 2.41), and then a run would wait for ever. Here records are
collected and written together, and their checksums are computed by a library, not in Python: for a picture, that takes
7 ms less.
"""

import os
import socket
import struct
import time
from itertools import count
from pathlib import Path
from typing import Any

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from torch.utils.tensorboard import FileWriter, SummaryWriter

VERSION = "brain.Event:2"
_files = count()


def record(data: bytes) -> bytes:
    """Return a record of an event file: its length, the data, and a checksum after each (TensorFlow's TFRecord)."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)  # masked, as TFRecord asks


class EventFile:
    """One event file, to which whole records are added when it is flushed.

    Args:
        folder: Where it lies. TensorBoard recognises it by its name.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_files)}"
        self.path = folder / name
        self._records = bytearray()
        source = SourceMetadata(writer="blockstep.tensorboard.event_writer")
        self.add_event(Event(wall_time=time.time(), file_version=VERSION, source_metadata=source))
        self.flush()

    def add_event(self, event: Event) -> None:
        """Collect an event."""
        self._records += record(event.SerializeToString())

    def flush(self) -> None:
        """Write what was collected.

        Raises:
            OSError: The file cannot be written. It keeps its whole records, and no part of one.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(self._records)
        except OSError:
            os.truncate(self.path, size)
            raise
        self._records.clear()

    close = flush
    """Nothing is left open."""


class EventFileWriter(FileWriter):
    """torch's writer of events, to an `EventFile`."""

    def __init__(self, folder: str) -> None:
        # Not torch's own, which starts the thread.
        self.folder = folder
        self.event_writer = EventFile(Path(folder))

    def get_logdir(self) -> str:
        """Return the folder."""
        return self.folder


class EventWriter(SummaryWriter):
    """torch's `SummaryWriter` without its thread; nothing is written before it is flushed."""

    file_writer: Any
    all_writers: Any

    def _get_file_writer(self) -> Any:
        # The one place where torch makes its writer, also again after it was closed. It is private.
        if self.file_writer is None:
            self.file_writer = EventFileWriter(self.log_dir)
            self.all_writers = {self.log_dir: self.file_writer}
            self._purge()
        return self.file_writer

    def _purge(self) -> None:
        if self.purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self.file_writer.add_event(Event(step=self.purge_step, file_version=VERSION))
            self.file_writer.add_event(Event(step=self.purge_step, session_log=start))
            self.purge_step = None
