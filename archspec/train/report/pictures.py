"""Arrays as pictures within the page, and the network's drawing made fit to stand there."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as xml
from collections.abc import Sequence

import numpy as np

from archspec.train.report.tags import Html, tag

_LONGEST = 320  # pixels: larger pictures are shrunk, to keep the page small
_STRIP = 8  # times as long as broad: a table of numbers rather than a picture
_COARSE = 64  # pixels: smaller pictures are shown with hard edges
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FORBIDDEN = ("script", "foreignobject", "iframe", "animate", "set", "handler")

# Okabe and Ito's colours, which the colour-blind can tell apart; the first class, mostly background, is dark.
PALETTE = ((34, 40, 49), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
           (204, 121, 167))  # fmt: skip


def is_picture(value: np.ndarray) -> bool:
    """Whether an array can be shown as one: (height, width) or (height, width, 1, 3 or 4), from 4 pixels, no strip."""
    sized = value.ndim in (2, 3) and 4 <= min(value.shape[:2]) >= max(value.shape[:2]) / _STRIP
    return value.dtype.kind in "uif" and sized and (value.ndim == 2 or value.shape[2] in (1, 3, 4))


def value_range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """What is black and what is white in pictures of the same kind: the usual ranges, or their own."""
    low = min(float(np.nan_to_num(v).min()) for v in values)
    high = max(float(np.nan_to_num(v).max()) for v in values)
    if values[0].dtype == np.uint8 or (low >= 0 and 128 < high <= 255):
        return 0.0, 255.0
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (-1.0, 1.0) if low >= -1 and high <= 1 else (min(0.0, low), high)


def picture(value: np.ndarray, limits: tuple[float, float], alt: str) -> Html:
    """An image of numbers within the limits."""
    low, high = limits
    scaled = (np.nan_to_num(value.astype("float32")) - low) / max(high - low, 1e-9)
    pixels = (np.clip(scaled, 0, 1) * 255).round().astype("uint8")
    return _image(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels, alt)


def gallery(values: np.ndarray, alt: str) -> Html:
    """Images of numbers side by side."""
    limits = value_range([values])
    return tag("div", *(picture(value, limits, alt) for value in values), class_="gallery")


def mask(classes: np.ndarray, alt: str) -> Html:
    """Class numbers in colours; what is no class is grey."""
    colours = np.array([*PALETTE, (128, 128, 128)], "uint8")
    known = (classes >= 0) & (classes < 1 << 16)
    return _image(colours[np.where(known, classes % len(PALETTE), len(PALETTE))], alt)


def colour(code: int) -> str:
    return f"rgb{PALETTE[code % len(PALETTE)]}"


def _image(pixels: np.ndarray, alt: str) -> Html:
    from PIL import Image

    made = Image.fromarray(pixels)
    coarse = max(made.size) < _COARSE
    made.thumbnail((_LONGEST, _LONGEST))
    data = io.BytesIO()
    made.save(data, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return tag("img", src=source, alt=alt, loading="lazy", class_="coarse" if coarse else None)


def inline_svg(text: str) -> Html | None:
    """An SVG file's drawing without anything that could act or reach out: it shows names from the spec."""
    try:
        root = xml.fromstring(re.sub(r"<!DOCTYPE[^>\[]*>", "", text, count=1))
    except xml.ParseError:
        return None
    for parent in root.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2].lower() in _FORBIDDEN:
                parent.remove(child)
        for key in list(parent.attrib):
            name = key.rpartition("}")[2].lower()
            if name.startswith("on") or (name in ("href", "src", "base") and not parent.attrib[key].startswith("#")):
                del parent.attrib[key]
    xml.register_namespace("", _SVG)
    xml.register_namespace("xlink", _XLINK)
    return Html(xml.tostring(root, encoding="unicode"))
