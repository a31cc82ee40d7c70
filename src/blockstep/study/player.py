"""Pictures of several batch sizes at equal events, with a slider: without it, one would open them one by one."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template

from PIL import Image

TEMPLATE = Template(Path(__file__).with_name("player.html").read_text("utf-8"))

LARGEST = 3_500_000
"""The bytes that pictures may take in a page of at most 5 MB."""

WIDTH, COLORS = 420, 64
"""The most pixels of a side of a picture that was made smaller, and its colours."""

Frames = Mapping[str, Sequence[tuple[int, bytes]]]
"""By batch size and further values: the events seen, and a PNG file's bytes."""


def player(frames: Frames, largest: int = LARGEST) -> str:
    """Return a section of a page that shows pictures of each batch size and plays them.

    Args:
        frames: The pictures. Where they are too large for a page, they are made smaller; where this does not do, some
            are left out, evenly.
        largest: The bytes that they may take.
    """
    frames = {size: sorted(series) for size, series in frames.items() if series}
    small = frames if _bytes(frames) <= largest else {size: _smaller(series) for size, series in frames.items()}
    shown = _thinned(small, largest)
    events = sorted({seen for series in shown.values() for seen, _ in series})
    data = {"events": events, "frames": [[(seen, _text(png)) for seen, png in row] for row in shown.values()]}
    return TEMPLATE.substitute(
        left_out="" if shown == small else "Some pictures are left out, so that this page stays small.",
        last=len(events) - 1,
        events=f"{events[-1]:,} events",
        pictures="\n".join(_figure(size, *series[-1]) for size, series in shown.items()),
        data=json.dumps(data),  # numbers and base64: nothing that could end the script
    )


def _figure(size: str, events: int, png: bytes) -> str:
    size = escape(size)
    return (
        f'<figure><img alt="batch size {size}" src="data:image/png;base64,{_text(png)}">'
        f"<figcaption>batch size {size}: <span>{events:,} events</span></figcaption></figure>"
    )


def _smaller(series: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return pictures with fewer pixels and colours."""
    small = []
    for events, png in series:
        file = BytesIO()
        with Image.open(BytesIO(png)) as picture:
            smaller = picture.convert("RGB")
            smaller.thumbnail((WIDTH, WIDTH))
            smaller.quantize(COLORS, Image.Quantize.FASTOCTREE).save(file, "png")
        small.append((events, file.getvalue()))
    return small


def _thinned(frames: Frames, largest: int) -> Frames:
    """Leave out every second picture, but for the last, until they fit; each batch size keeps one at least."""
    while _bytes(frames) > largest and any(len(series) > 1 for series in frames.values()):
        frames = {size: list(series)[::-2][::-1] for size, series in frames.items()}
    return frames


def _bytes(frames: Frames) -> int:
    """Return the characters of all pictures in base64, the last of each batch size twice."""
    sizes = [[4 * len(png) // 3 for _, png in series] for series in frames.values()]
    return sum(sum(row) + row[-1] for row in sizes)


def _text(png: bytes) -> str:
    return b64encode(png).decode("ascii")
