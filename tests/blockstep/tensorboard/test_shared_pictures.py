from pathlib import Path

import numpy as np
import pytest
from event_reader import read

from blockstep.tensorboard.event_files import EventsSeen, RunEvents
from blockstep.tensorboard.shared_pictures import log_shared_picture

BLACK = np.zeros((4, 6, 3), np.uint8)
WHITE = BLACK + 255


def show(name, picture, runs="runs"):
    """Shows a picture in a run of this name; returns how many pictures it has then."""
    folder = Path(runs, name, "version_0")
    logger = RunEvents(folder, EventsSeen())
    log_shared_picture(logger, "own", picture)
    logger.log_curve("other", 0, 1.0)
    logger.finalize("success")
    return len(read(name).Tags()["images"]) if runs == "runs" else None


def test_a_picture_that_another_run_shows_is_not_drawn_again():
    assert [show("one", BLACK), show("two", BLACK), show("three", BLACK)] == [1, 0, 0]


def test_another_picture_is_drawn():
    assert [show("one", BLACK), show("two", WHITE), show("three", WHITE)] == [1, 1, 0]


def test_a_run_in_another_folder_does_not_count():
    show("one", BLACK, "elsewhere")
    assert show("two", BLACK) == 1


@pytest.mark.parametrize("what", ["a folder", "nothing"])
def test_an_event_file_that_cannot_be_read_is_passed_over(what):
    path = Path("runs/one/version_0/events.out.tfevents.1.broken")
    path.parent.mkdir(parents=True)
    path.mkdir() if what == "a folder" else path.touch()
    assert show("two", BLACK) == 1
