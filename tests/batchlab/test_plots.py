import io

import numpy as np
import pytest
from matplotlib.image import imread

from batchlab import plots
from batchlab.toy import draw_events, posterior

X, T = draw_events()
MESH = plots.mesh()
EXACT = posterior(MESH)
FIELDS = {
    "steep": EXACT,
    "low": 0.3 + EXACT / 100,
    "falling": 0.5 - MESH[:, :1] / 20,
    "flat": np.full((10000, 1), 0.5),
    "partly nan": np.where(MESH[:, :1] > 3, np.nan, EXACT),
    "infinite in places": np.where(EXACT > 0.5, np.inf, EXACT),
    "all nan": np.full((10000, 1), np.nan),
}


def drawn(probabilities, scale="own", title=""):
    """A contour figure after its drawing."""
    contours = plots.ContourFigure(X, T, scale=scale)
    contours.draw(probabilities, title)
    return contours.figure


def levels(figure):
    return figure.axes[0].collections[-1].levels.tolist()


def words(figure):
    """What is written into the axes of the contour."""
    return "".join(text.get_text() for text in figure.axes[0].texts)


def strip_and_bar(figure):
    """The corners of the range's mark, and the labels of the colour bar."""
    _, bar, strip = figure.axes
    return strip.patches[0].get_xy()[:6], [label.get_text() for label in bar.texts]


def test_the_mesh_covers_the_square():
    assert MESH.shape == (10000, 2)
    assert MESH.min(axis=0).tolist() == [-5, -5]
    assert MESH.max(axis=0).tolist() == [5, 5]


@pytest.mark.parametrize("scale", ["own", "common"])
def test_a_contour_shows_high_probabilities_where_they_are(scale):
    paths = drawn(EXACT, scale).axes[0].collections[-1].get_paths()
    highest = [path for path in paths if len(path.vertices)][-1]
    np.testing.assert_allclose(highest.vertices.mean(axis=0), (1, 0), atol=0.1)


def test_ten_levels_span_the_probabilities_that_are_there():
    figure = drawn(0.3 + EXACT / 100)
    low, high = 0.3, 0.3 + EXACT.max() / 100
    assert levels(figure) == pytest.approx(np.linspace(low, high, 11).tolist())
    corners, labels = strip_and_bar(figure)
    np.testing.assert_allclose(corners, [[0, low], [1, low], [3, 0], [3, 1], [1, high], [0, high]], atol=1e-12)
    assert (labels[0], labels[-1]) == ("0.3000", "0.3061")


def test_the_common_scale_reaches_from_0_to_1_and_the_strip_still_marks_the_range():
    figure = drawn(0.3 + EXACT / 100, "common")
    assert levels(figure) == pytest.approx(np.linspace(0, 1, 11).tolist())
    corners, labels = strip_and_bar(figure)
    assert corners[:, 1].tolist() == pytest.approx([0.3] * 3 + [0.3 + EXACT.max() / 100] * 3)
    assert (labels[0], labels[-1]) == ("0.0", "1.0")


@pytest.mark.parametrize("scale", ["own", "common"])
@pytest.mark.parametrize("p", [0.0, 0.4999999, 1.0])
def test_equal_probabilities_are_one_colour_of_the_common_scale_and_said_in_words(p, scale):
    figure = drawn(p + 9e-7 * (0.5 - p) * (1 + MESH[:, 0] / 5), scale)
    assert levels(figure) == pytest.approx(np.linspace(0, 1, 11).tolist())
    assert sum(len(path.vertices) > 0 for path in figure.axes[0].collections[-1].get_paths()) == 1
    assert words(figure) == f"p = {p:.4f} everywhere"


def test_a_small_span_is_drawn_if_it_is_more_than_rounding():
    figure = drawn(0.5 + 1.1e-6 * (MESH[:, 0] + 5) / 10)
    assert words(figure) == ""
    assert strip_and_bar(figure)[1][:2] == ["0.5000000", "0.5000002"]


@pytest.mark.parametrize(("name", "missing"), [("partly nan", "2,000"), ("all nan", "10,000")])
def test_what_is_not_finite_is_said_and_the_rest_is_drawn(name, missing):
    figure = drawn(FIELDS[name])
    assert words(figure) == f"p is not finite at {missing} of 10,000 points"
    paths = figure.axes[0].collections[-1].get_paths()
    assert any(len(path.vertices) for path in paths) == (name == "partly nan")


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["own", "common"])
@pytest.mark.parametrize("style", ["notebook", "accessible"])
def test_a_further_contour_has_the_pixels_of_a_fresh_one(style, scale):
    fresh = {name: plots.ContourFigure(X, T, style, scale).draw(field, name) for name, field in FIELDS.items()}
    assert len({image.tobytes() for image in fresh.values()}) == len(fresh)
    again = plots.ContourFigure(X, T, style, scale)
    for name in [*FIELDS, *reversed(FIELDS), *sorted(FIELDS), "flat"]:
        np.testing.assert_array_equal(again.draw(FIELDS[name], name), fresh[name], err_msg=name)


@pytest.mark.parametrize("name", FIELDS)
def test_a_contour_is_what_matplotlib_draws_of_the_whole_figure(name):
    contours = plots.ContourFigure(X, T)
    contours.draw(FIELDS["falling"], "Before")
    ours = contours.draw(FIELDS[name], "After 3 steps")
    whole = io.BytesIO()
    contours.figure.savefig(whole)
    whole.seek(0)
    theirs = imread(whole)[..., :3] * 255
    assert np.abs(ours - theirs).max() < 1.5  # the order of what only touches may round a colour otherwise


def test_a_drawn_picture_stays_as_it_is():
    contours = plots.ContourFigure(X, T)
    first = contours.draw(EXACT, "First")
    kept = first.copy()
    contours.draw(FIELDS["falling"], "Second")
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("make", [lambda *_, title: drawn(EXACT, title=title), plots.events_figure])
def test_figures_say_what_they_show(make):
    axes = make(X, T, title="After 3 steps").axes[0]
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()) == ("After 3 steps", "x1", "x2")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Signal", "Background"]
    assert axes.get_xlim() == axes.get_ylim() == (-5, 5)


def test_the_notebooks_style_is_red_and_blue():
    signal, background = plots.events_figure(X, T).axes[0].collections
    assert signal.get_facecolor()[0].tolist() == [1, 0, 0, 1]
    assert background.get_facecolor()[0].tolist() == [0, 0, 1, 1]
    assert (len(signal.get_offsets()), len(background.get_offsets())) == (100, 1000)


def test_the_accessible_style_differs_in_shape_as_well_as_in_colour():
    signal, background = plots.events_figure(X, T, style="accessible").axes[0].collections
    assert len(signal.get_paths()[0].vertices) != len(background.get_paths()[0].vertices)


def test_a_comparison_has_a_row_of_own_levels_and_one_of_the_common_scale():
    fields = {"a": 0.3 + EXACT / 100, "b": FIELDS["flat"], "c": FIELDS["partly nan"]}
    figure = plots.comparison_figure({title: plots.Panel(field, X, T) for title, field in fields.items()})
    own, common, bars = figure.axes[:3], figure.axes[3:6], figure.axes[6:]
    assert [axes.get_title() for axes in own] == [
        "a\np from 0.3000 to 0.3061",
        "b\np = 0.5000 everywhere",
        "c\np is not finite at 2,000 of\n10,000 points",
    ]
    assert [axes.collections[0].levels[-1] for axes in own] == pytest.approx([0.3 + EXACT.max() / 100, 1, EXACT.max()])
    assert [axes.collections[0].levels[-1] for axes in common] == [1, 1, 1]
    assert all(len(axes.collections) == 3 for axes in (*own, *common))  # signal and background over the contour
    assert len(bars) == 2


def test_pixels_are_the_figure():
    image = plots.pixels(plots.events_figure(X, T))
    assert image.dtype == np.uint8
    assert image.shape == (500, 600, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10


def test_a_written_picture_has_its_pixels(tmp_path):
    image = plots.ContourFigure(X, T).draw(EXACT)
    plots.write_picture(tmp_path / "new" / "picture.png", image)
    np.testing.assert_array_equal(np.round(imread(tmp_path / "new" / "picture.png") * 255), image)
