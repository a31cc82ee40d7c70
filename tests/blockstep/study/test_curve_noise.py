"""The noise scale of a study's trainings, and where it is shown."""

import json
from pathlib import Path

import numpy as np
import pytest
from small_studies import FOLDER, WORDS, rows

from blockstep.study.curve_noise import noise_at
from blockstep.study.gradient_noise import Noise
from blockstep.study.noise_scale import NoiseScale


def test_noise_between_two_measurements_lies_on_a_straight_line():
    measured = NoiseScale()
    measured.measured = [Noise(0, 1.0, 1.0), Noise(10, 6.0, 2.0)]
    at = noise_at([0, 5, 10, 11], [measured])
    assert at[:3].tolist() == [1, 2, 3]
    assert np.isnan(at[3])


def test_without_a_measurement_there_is_no_noise():
    assert noise_at([0, 5, 10], []).tolist() == []


@pytest.mark.slow
def test_a_study_shows_the_noise_scale_if_it_is_asked_for(example):
    words = [*WORDS, "--seeds=1", "--trainer.callbacks+=blockstep.study.noise_scale.NoiseScale"]
    assert example("study", *words) == 0
    assert (FOLDER / "figures" / "noise.svg").exists()
    assert all(float(row["noise"]) > 0 for row in rows() if row["step"] == "0")
    for path in Path(FOLDER, "trainings").glob("*.json"):
        training = json.loads(path.read_text())
        assert len(training["noise"]) == len(training["steps"])
        assert training["noise"][0] > 0
