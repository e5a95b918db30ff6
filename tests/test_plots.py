from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from toynet import plots
from toynet.data import Points, nested_classes, split
from toynet.errors import UsageError
from toynet.fit import Decision

TRAIN, TEST = split(nested_classes(100, 0), 0)


def decide(members: int) -> plots.Decide:
    """Members that each draw the border between the classes further to the right."""

    def decision(inputs: np.ndarray) -> Decision:
        each = np.stack([inputs[:, 0] > i for i in range(members)]).astype(int)
        return Decision(mean=(each.mean(axis=0) > 0.5).astype(int), members=each)

    return decision


def texts(figure: Figure) -> str:
    titles = [axes.get_title() for axes in figure.axes]
    labels = [axes.get_ylabel() for axes in figure.axes]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    return "; ".join([figure.get_suptitle(), *titles, *labels, *legend])


def test_a_lone_member_gets_the_tutorials_three_pictures() -> None:
    assert list(plots.draw(TRAIN, TEST, decide(1))) == ["data.png", "split.png", "decision.png"]


def test_an_ensemble_gets_a_fourth_of_its_disagreement() -> None:
    figures = plots.draw(TRAIN, TEST, decide(3))
    assert list(figures) == ["data.png", "split.png", "decision.png", "disagreement.png"]
    assert "Mean decision of 3 members" in texts(figures["decision.png"])
    assert "share of members against the majority" in texts(figures["disagreement.png"])


def test_every_picture_has_a_title_and_names_its_classes() -> None:
    for figure in plots.draw(TRAIN, TEST, decide(2)).values():
        assert figure.get_suptitle()
        assert texts(figure).endswith("class 0; class 1")


def test_the_split_shows_the_points_of_each_set_and_class() -> None:
    figure = plots.split(TRAIN, TEST)
    for axes, points in zip(figure.axes, (TRAIN, TEST), strict=True):
        for label, shown in enumerate(axes.collections):
            np.testing.assert_array_equal(shown.get_offsets(), points.inputs[points.labels == label])


def test_the_grid_covers_all_points_with_a_margin() -> None:
    points = Points(np.array([[0.0, -1.0], [2.0, 3.0]]), np.array([0, 1]))
    grid = plots.grid_over(points, decide(1))
    assert (grid.x[0], grid.y[0]) == (-1, -2)
    assert grid.x[-1] >= 2.9
    assert grid.y[-1] >= 3.9
    image = grid.image(grid.decision.mean)
    assert image.shape == (len(grid.y), len(grid.x))
    np.testing.assert_array_equal(image, np.broadcast_to(grid.x > 0, image.shape))


def test_a_decision_for_one_class_everywhere_is_drawn_without_a_border() -> None:
    figures = plots.draw(TRAIN, TEST, lambda inputs: Decision(np.zeros(len(inputs), int), np.zeros((1, len(inputs)))))
    assert "Decision boundary" in texts(figures["decision.png"])


def test_pictures_are_written_and_not_empty(tmp_path: Path) -> None:
    plots.save({"split.png": plots.split(TRAIN, TEST)}, tmp_path)
    image = imread(tmp_path / "split.png")
    assert image.shape == (600, 1200, 4)
    assert image[..., :3].min() < 0.5 < image[..., :3].max() == 1


def test_a_folder_that_cannot_be_written_to_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't write .*data\.png: No such file or directory"):
        plots.save({"data.png": plots.data(TRAIN)}, tmp_path / "missing")
