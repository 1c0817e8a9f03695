"""Figures: byte-stable files, metadata inside, and the numbers beside them."""

import csv
import io
import json

import matplotlib
import numpy as np
import pytest
from PIL import Image

from replica.book import figures
from replica.book.errors import ReplicaError

matplotlib.use("Agg")
METADATA = {"paper": "toy-law", "figure": "line", "parameters": {"seed": 0}, "seed": 0}


def draw():
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(figures.style()):
        fig, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], label="theory")
        ax.set(xlabel="time (s)", title="A $\\lambda$ law")
        ax.legend()
        return fig


def test_files_are_byte_stable_for_the_same_inputs():
    first, second = figures.render(draw(), METADATA), figures.render(draw(), METADATA)
    assert first == second
    assert b"<dc:date>" not in first["svg"]


def test_metadata_is_inside_both_images():
    files = figures.render(draw(), METADATA)
    assert json.loads(Image.open(io.BytesIO(files["png"])).text["Replica"]) == METADATA
    assert b"toy-law" in files["svg"]


def test_numbers_come_back_from_npz_and_csv(tmp_path):
    data = {"n": np.arange(3), "risk": np.array([0.1, 0.25, 1 / 3])}
    paths = figures.save(draw(), tmp_path, "line", data, METADATA)
    assert sorted(paths) == ["csv", "npz", "png", "svg"]
    with np.load(paths["npz"]) as stored:
        np.testing.assert_array_equal(stored["risk"], data["risk"])
    rows = list(csv.DictReader(paths["csv"].open()))
    assert [float(row["risk"]) for row in rows] == data["risk"].tolist()  # written with all digits


def test_arrays_of_different_shapes_become_a_tidy_table():
    text = figures.to_csv({"map": np.array([[1.0, 2.0], [3.0, 4.0]]), "axis": np.array([10, 20])})
    assert text.splitlines() == [
        "array,i,j,value", "map,0,0,1.0", "map,0,1,2.0", "map,1,0,3.0", "map,1,1,4.0", "axis,0,,10", "axis,1,,20",
    ]  # fmt: skip


def test_tables_of_tables_are_named_with_a_dot():
    arrays = figures.flatten({"theory": {"n": [1, 2]}, "measured": {"n": [1]}})
    assert list(arrays) == ["theory.n", "measured.n"]


def test_npz_is_byte_stable():
    data = {"x": np.linspace(0, 1, 7)}
    assert figures.to_npz(data) == figures.to_npz(data)


def test_a_figure_without_numbers_or_with_ragged_ones_is_refused(tmp_path):
    with pytest.raises(ReplicaError, match="numbers behind the figure"):
        figures.save(draw(), tmp_path, "line", {}, METADATA)
    with pytest.raises(ReplicaError, match="regular shape"):
        figures.flatten({"x": {1, 2}})
    assert not list(tmp_path.iterdir())


def in_motion():
    """A figure whose point moves, and what moves it."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(figures.style()):
        fig, ax = plt.subplots(figsize=(2, 1))
        (point,) = ax.plot([0], [0], "o")
        ax.set(xlim=(-1, 4), ylim=(-1, 1))
        return fig, lambda frame: point.set_xdata([frame])


def test_an_animation_loops_for_ever_and_every_frame_differs():
    fig, move = in_motion()
    film = Image.open(io.BytesIO(figures.film(fig, "line", move, frames=4, fps=10)))
    assert film.n_frames == 4
    assert film.info["loop"] == 0
    pictures = []
    for frame in range(4):
        film.seek(frame)
        assert film.info["duration"] == 100  # milliseconds
        pictures.append(film.convert("RGB").tobytes())
    assert len(set(pictures)) == 4
    again, move_again = in_motion()
    assert figures.film(again, "line", move_again, 4, 10) == figures.film(fig, "line", move, 4, 10)


def test_an_animation_too_large_too_fast_or_of_one_frame_is_refused(monkeypatch):
    fig, move = in_motion()
    with pytest.raises(ReplicaError, match="at least 2 frames; came 1"):
        figures.film(fig, "line", move, frames=1, fps=10)
    with pytest.raises(ReplicaError, match="fps"):
        figures.film(fig, "line", move, frames=3, fps=100)
    monkeypatch.setattr(figures, "MAX_FILM", 1000)
    with pytest.raises(ReplicaError, match="Use fewer frames"):
        figures.film(fig, "line", move, frames=3, fps=10)
