"""Small pictures of the figures: thumbnails with stable names, and a collage for link previews."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

WIDTH = 640
COLLAGE = (1200, 630)


def thumbnail(figure: Path, width: int = WIDTH) -> bytes:
    """The PNG ``figure`` scaled down to ``width`` pixels on white, as PNG bytes; the same bytes for the same figure."""
    with Image.open(figure) as opened:
        picture = _on_white(opened)
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def size_of(png: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    with Image.open(png) as opened:
        return opened.size


def collage(figures: Sequence[Path], size: tuple[int, int] = COLLAGE) -> bytes:
    """Up to twelve figures side by side on white, as PNG bytes; an empty sheet for no figures."""
    sheet = Image.new("RGB", size, "white")
    shown = list(figures)[:12]
    if shown:
        columns = math.ceil(math.sqrt(len(shown) * size[0] / size[1] / 1.6))
        rows = math.ceil(len(shown) / columns)
        cell = (size[0] // columns, size[1] // rows)
        for index, path in enumerate(shown):
            with Image.open(path) as opened:
                picture = _on_white(opened)
            picture.thumbnail((cell[0] - 24, cell[1] - 24), Image.Resampling.LANCZOS)
            left = index % columns * cell[0] + (cell[0] - picture.width) // 2
            top = index // columns * cell[1] + (cell[1] - picture.height) // 2
            sheet.paste(picture, (left, top))
    buffer = io.BytesIO()
    sheet.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    layered = picture.convert("RGBA")
    ground = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(ground, layered).convert("RGB")
