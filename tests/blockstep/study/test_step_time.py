"""The time of a step, from trainings that were interrupted at checkpoints."""

import math

import numpy as np
import pytest

from blockstep.study.step_time import step_seconds
from blockstep.study.table import Curve


def timed(*steps, step=1e-5, interruption=1e-3):
    """A training whose steps and interruptions take these seconds."""
    known = np.array([0.0, *steps])
    seconds = known * step + interruption * np.arange(len(known))
    return Curve("one", {}, "budget", known, known, known, seconds)


def test_interruptions_do_not_count():
    assert step_seconds([timed(1, 3, 10, 30), timed(1, 3, 10, 30, 100)]) == pytest.approx(1e-5)


def test_a_single_slow_interval_does_not_count():
    slow = timed(1, 2, 4, 8, 16, 32, 64, 128)
    slow.seconds[3:] += 5
    assert step_seconds([slow, timed(1, 2, 4, 8, 16, 32, 64, 128)]) == pytest.approx(1e-5, rel=0.2)


def test_equal_intervals_take_what_they_take():
    assert step_seconds([timed(1, 2, 3, interruption=0)]) == pytest.approx(1e-5)


def test_without_a_step_there_is_no_time():
    assert math.isnan(step_seconds([timed()]))
    assert math.isnan(step_seconds([]))
