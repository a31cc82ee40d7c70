import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from torch.utils.tensorboard import SummaryWriter

from blockstep.tensorboard.event_writer import EventFile, EventWriter


def events(folder):
    """All events of a folder, without their times and the name of their writer."""
    found = []
    for path in sorted(Path(folder).iterdir(), key=lambda path: int(path.suffix[1:])):  # in the order of their making
        for event in EventFileLoader(str(path)).Load():
            event.wall_time = 0
            event.ClearField("source_metadata")
            found.append(event)
    return found


def log(writer):
    """Log one of each kind, also after the writer was closed."""
    writer.add_scalar("loss", 0.5, 1)
    writer.add_image("picture", np.zeros((3, 4, 5), dtype=np.uint8), 2)
    writer.add_histogram("weights", np.arange(10.0), 3)
    writer.add_text("words", "some", 4)
    writer.flush()
    writer.close()
    writer.add_scalar("loss", 0.25, 5)
    writer.close()


@pytest.mark.parametrize("purge", [None, 0, 1101])
def test_what_is_written_is_what_torchs_writer_writes(purge, tmp_path):
    log(EventWriter(str(tmp_path / "ours"), purge_step=purge))
    log(SummaryWriter(str(tmp_path / "torch"), purge_step=purge))
    assert events(tmp_path / "ours") == events(tmp_path / "torch")


def test_no_thread_is_started(tmp_path):
    before = threading.active_count()
    EventWriter(str(tmp_path)).add_scalar("loss", 0.5, 1)
    assert threading.active_count() == before


def test_nothing_is_on_disk_before_it_is_flushed_and_everything_is_afterwards(tmp_path):
    writer = EventWriter(str(tmp_path))
    writer.add_scalar("loss", 0.5, 1)
    before = len(events(tmp_path))
    writer.flush()
    assert len(events(tmp_path)) == before + 1


def test_an_event_file_on_a_full_disk_keeps_its_whole_records(tmp_path):
    resource = pytest.importorskip("resource", reason="the size of a file is limited as POSIX does it")
    file = EventFile(tmp_path)
    size = file.path.stat().st_size
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        file.add_event(Event(file_version="x" * 1000))
        with pytest.raises(OSError, match="too large"):
            file.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.path.stat().st_size == size
    file.flush()
    assert len(events(tmp_path)) == 2
