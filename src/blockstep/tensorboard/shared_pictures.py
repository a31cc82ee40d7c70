"""Pictures that are equal in many runs: without it, TensorBoard would show each of them once a run."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray

from blockstep.tensorboard.event_files import RunEvents, picture_summary

HEAD = 2**20
"""Bytes at the start of an event file that are searched: what does not change is drawn before the first step."""


@rank_zero_only
def log_shared_picture(logger: RunEvents, tag: str, pixels: NDArray[np.uint8]) -> None:
    """Add a picture, shape (height, width, 3), unless another run in the same folder of runs shows the same."""
    summary = picture_summary(tag, pixels)
    if not _is_shown(summary.value[0].image.encoded_image_string, Path(logger.save_dir)):
        logger.log_summary(summary)


def _is_shown(png: bytes, runs: Path) -> bool:
    # The oldest first, by the time in its name: it probably has the picture.
    for path in sorted(runs.glob("*/*/events.out.tfevents.*"), key=lambda path: path.name):
        with suppress(OSError), path.open("rb") as file:  # another process may delete the run
            if png in file.read(HEAD):
                return True
    return False
