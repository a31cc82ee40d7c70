"""The last pictures of all batch sizes as one file: without it, they could be seen in the report's page alone."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from blockstep.study.player import WIDTH

COLUMNS = 4
"""The most pictures beside each other."""

TITLE = 24
"""The pixels of a line of a picture's title."""


def sheet(frames: Mapping[str, Sequence[tuple[int, bytes]]]) -> bytes:
    """Return a PNG file with the last picture of each series, under its name and the events seen until then.

    Args:
        frames: By batch size and further values: the events seen, and a PNG file's bytes.
    """
    last = {name: max(series) for name, series in frames.items() if series}
    pictures = [Image.open(BytesIO(png)).convert("RGB") for _, png in last.values()]
    for picture in pictures:
        picture.thumbnail((WIDTH, WIDTH))
    width, height = (max(sizes) for sizes in zip(*(picture.size for picture in pictures), strict=True))
    height += 2 * TITLE
    columns = min(COLUMNS, len(pictures))
    whole = Image.new("RGB", (columns * width, math.ceil(len(pictures) / columns) * height), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(TITLE * 2 / 3)
    for place, (picture, (name, (events, _))) in enumerate(zip(pictures, last.items(), strict=True)):
        left, top = place % columns * width, place // columns * height
        whole.paste(picture, (left, top + 2 * TITLE))
        for row, words in enumerate((f"batch size {name}", f"{events:,} events")):
            shown = _cut(words, width, font)
            pen.text((left + width / 2, top + (row + 0.5) * TITLE), shown, fill="black", font=font, anchor="mm")
    file = BytesIO()
    whole.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()


def _cut(words: str, width: int, font: Any) -> str:
    """Return words as far as they have room."""
    ends = (words if length == len(words) else f"{words[:length]}…" for length in range(len(words), 0, -1))
    return next((end for end in ends if font.getlength(end) <= width), "")
