"""HTML from nested calls. Text is escaped unless a tag has made it, so nothing from the data can become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_EMPTY = frozenset({"img", "meta", "br", "hr"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(text: object) -> Html:
    return text if isinstance(text, Html) else Html(html.escape(str(text)))


def join(parts: Iterable[object], between: str = "") -> Html:
    return Html(between.join(escape(part) for part in parts))


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """`tag("a", "text", href="#top", class_="x")`; an attribute that is None is left out, `_` ends Python's words."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>" if name in _EMPTY else f"<{name}{given}>{join(content)}</{name}>")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], numbers: int = 0, **attributes: object) -> Html:
    """A table whose last `numbers` columns hold figures, in a box that scrolls sideways where it is too wide."""
    first = len(head) - numbers

    def line(kind: str, cells: Sequence[object]) -> Html:
        made = [tag(kind, cell, class_="number" if i >= first else None) for i, cell in enumerate(cells)]
        return tag("tr", *made)

    top = tag("thead", line("th", head)) if any(head) else ""
    body = tag("tbody", *(line("td", row) for row in rows))
    return tag("div", tag("table", top, body, **attributes), class_="wide")
