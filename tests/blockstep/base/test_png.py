import io

import numpy as np
import pytest
from matplotlib.image import imread

from blockstep.base.png import as_png


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 500, 3), (500, 3, 3)])
def test_a_picture_read_back_has_the_same_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(imread(io.BytesIO(as_png(pixels))), pixels / np.float32(255))
