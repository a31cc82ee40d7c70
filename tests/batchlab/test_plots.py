from functools import partial

import numpy as np
import pytest

from batchlab import plots
from batchlab.toy import draw_events, posterior

X, T = draw_events()


def test_the_mesh_covers_the_square():
    points = plots.mesh()
    assert points.shape == (10000, 2)
    assert points.min(axis=0).tolist() == [-5, -5]
    assert points.max(axis=0).tolist() == [5, 5]


def test_a_contour_shows_high_probabilities_where_they_are():
    figure = plots.contour_figure(posterior(plots.mesh()), X, T)
    filled = figure.axes[0].collections[0]
    highest = filled.get_paths()[6]  # 0.6 to 0.7, the highest level that the posterior reaches
    np.testing.assert_allclose(highest.vertices.mean(axis=0), (1, 0), atol=0.1)


def test_contours_keep_axes_and_colour_scale_whatever_the_probabilities():
    figures = [plots.contour_figure(np.full(10000, p), X, T) for p in (0.0, 0.4, 1.0)]
    for figure in figures:
        assert figure.axes[0].get_xlim() == figure.axes[0].get_ylim() == (-5, 5)
        assert figure.axes[0].collections[0].levels.tolist() == pytest.approx(np.linspace(0, 1, 11).tolist())


@pytest.mark.parametrize("make", [partial(plots.contour_figure, np.full(10000, 0.1)), plots.events_figure])
def test_figures_say_what_they_show(make):
    figure = make(X, T, title="After 3 steps")
    axes = figure.axes[0]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("After 3 steps", "x1", "x2")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Signal", "Background"]


def test_the_notebooks_style_is_red_and_blue():
    signal, background = plots.events_figure(X, T).axes[0].collections
    assert signal.get_facecolor()[0].tolist() == [1, 0, 0, 1]
    assert background.get_facecolor()[0].tolist() == [0, 0, 1, 1]
    assert (len(signal.get_offsets()), len(background.get_offsets())) == (100, 1000)


def test_the_accessible_style_differs_in_shape_as_well_as_in_colour():
    signal, background = plots.events_figure(X, T, style="accessible").axes[0].collections
    assert len(signal.get_paths()[0].vertices) != len(background.get_paths()[0].vertices)


def test_a_comparison_has_a_panel_for_each_and_one_colour_bar():
    figure = plots.comparison_figure({"a": np.zeros(10000), "b": np.ones(10000)})
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", ""]


def test_pixels_are_the_figure():
    image = plots.pixels(plots.events_figure(X, T))
    assert image.dtype == np.uint8
    assert image.shape == (500, 600, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
