"""Saving figures with their provenance and the numbers behind them, in one shared style.

matplotlib is imported inside the functions: a command that draws nothing should not pay for it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from replica.book.errors import ReplicaError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by readers with any common colour vision, and in grey
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5A5A5A", "#000000"]
DPI = 150
MAX_TIDY_ROWS = 200_000
FILM_DPI = 100
MAX_FILM = 1_000_000  # bytes; the recorded notebook carries it, and git keeps every recording


def style() -> dict[str, Any]:
    """The rcParams of the book: theory as lines, measurements as markers; opaque white in light and dark."""
    from cycler import cycler

    return {
        "figure.figsize": (7.0, 4.2),
        "figure.dpi": DPI,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "white",
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.labelsize": 10.5,
        "axes.linewidth": 0.8,
        "font.size": 10,
        "font.family": "DejaVu Sans",
        "mathtext.fontset": "dejavusans",
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "errorbar.capsize": 2,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "image.cmap": "viridis",
        "svg.fonttype": "path",
        "svg.hashsalt": "replica",
    }


def use_style() -> None:
    """Make :func:`style` the style of this process."""
    import matplotlib

    matplotlib.rcParams.update(style())  # type: ignore[arg-type]  # names of settings, typed as literals


def render(fig: Figure, metadata: Mapping[str, Any]) -> dict[str, bytes]:
    """The figure as PNG and SVG bytes with ``metadata`` inside; byte-stable for the same inputs (no date)."""
    import matplotlib

    text = json.dumps(metadata, sort_keys=True, ensure_ascii=True)
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": f"{metadata['paper']}-{metadata['figure']}", "svg.fonttype": "path"}):
        fig.savefig(png, format="png", dpi=DPI, metadata={"Software": None, "Replica": text})
        fig.savefig(svg, format="svg", metadata={"Date": None, "Creator": "Replica", "Description": text})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def film(fig: Figure, name: str, draw: Callable[[int], object], frames: int, fps: float) -> bytes:
    """``fig`` with ``draw(0)``, ``draw(1)``, ... as a GIF that loops for ever; refuses more than ``MAX_FILM`` bytes."""
    import tempfile

    import matplotlib
    from matplotlib.animation import PillowWriter

    if frames < 2:
        raise ReplicaError(f"animation {name!r}: expected at least 2 frames; came {frames}")
    if not 0 < fps <= 50:
        raise ReplicaError(
            f"animation {name!r}: expected 0 < fps <= 50 (GIF counts hundredths of a second); came {fps}"
        )
    writer = PillowWriter(fps=fps)  # type: ignore[arg-type]  # takes floats too
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.gif"
        draw(0)
        fig.draw_without_rendering()
        fig.set_layout_engine("none")  # laid out once: axes must not move from frame to frame
        # or saving would lay out anew
        with (
            matplotlib.rc_context({"figure.constrained_layout.use": False}),
            writer.saving(fig, path, FILM_DPI),
        ):
            for frame in range(frames):
                draw(frame)
                writer.grab_frame()
        content = path.read_bytes()
    if len(content) > MAX_FILM:
        raise ReplicaError(
            f"animation {name!r}: expected at most {MAX_FILM / 1e6:g} MB; came {len(content) / 1e6:.1f} MB. "
            "Use fewer frames, a smaller figure or fewer colours"
        )
    return content


def flatten(data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """``{"theory": {"n": ...}}`` as ``{"theory.n": array}``; refuses what is not a numeric or text array."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            arrays.update({f"{name}.{key}": array for key, array in flatten(value).items()})
            continue
        array = np.asarray(value)
        if array.dtype == object:
            raise ReplicaError(
                f"data[{name!r}]: expected numbers or text of a regular shape; came {type(value).__name__}"
            )
        arrays[name] = array
    return arrays


def to_npz(data: Mapping[str, Any]) -> bytes:
    """The numbers as an uncompressed-date ``.npz`` (byte-stable: NumPy dates its entries 1980)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **flatten(data))  # type: ignore[arg-type]
    return buffer.getvalue()


def to_csv(data: Mapping[str, Any]) -> str | None:
    """The numbers as text: one column per array where all are vectors of one length, else a tidy table
    ``array, i, j, ..., value``. None where that would be unreasonably long."""
    arrays = flatten(data)
    lengths = {array.shape for array in arrays.values()}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if len(lengths) == 1 and len(next(iter(lengths))) == 1:
        writer.writerow(arrays)
        writer.writerows(zip(*(array.tolist() for array in arrays.values()), strict=True))
        return buffer.getvalue()
    if sum(array.size for array in arrays.values()) > MAX_TIDY_ROWS:
        return None
    rank = max((array.ndim for array in arrays.values()), default=0)
    writer.writerow(["array", *"ijklmn"[:rank], "value"])
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            writer.writerow([name, *index, *[""] * (rank - array.ndim), array[index].item()])
    return buffer.getvalue()


def save(
    fig: Figure,
    folder: Path,
    name: str,
    data: Mapping[str, Any],
    metadata: Mapping[str, Any],
    gif: bytes | None = None,
) -> dict[str, Path]:
    """Write ``name.png``, ``.svg``, ``.npz``, ``.csv`` and, of an animation, ``.gif`` into ``folder`` and return
    their paths by suffix."""
    if not data:
        raise ReplicaError(f"figure {name!r}: expected the numbers behind the figure in data={{...}}; came nothing")
    files: dict[str, bytes] = {**render(fig, metadata), "npz": to_npz(data)}
    table = to_csv(data)
    if table is not None:
        files["csv"] = table.encode("utf-8")
    if gif is not None:
        files["gif"] = gif
    folder.mkdir(parents=True, exist_ok=True)
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in files}
    for suffix, content in files.items():
        paths[suffix].write_bytes(content)
    return paths
