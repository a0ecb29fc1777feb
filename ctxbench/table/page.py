"""Pages in one file that load nothing: tables that sort, figures drawn in, light and dark, on a phone too."""

from __future__ import annotations

import re
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ctxbench.table.html import template

MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}


def page(package: str, name: str, *, style: str = "", **shown: Any) -> str:
    """The page that a template of a package makes, which extends ``ctxbench.table/page.html``.

    It is given ``shown``, of which ``title`` and ``source`` (its origin) every page has; ``style`` names a
    file of the package whose rules stand after every page's.
    """
    own = _resource(package, style) if style else Markup("")
    return template(package, name).render(
        style=_resource("ctxbench.table", "page.css") + own,
        script=_resource("ctxbench.table", "page.js"),
        **shown,
    )


def _resource(package: str, name: str) -> Markup:
    return Markup(files(package).joinpath(name).read_text(encoding="utf-8"))


def image(path: Path) -> Markup:
    """An image file as data, so that nothing is loaded."""
    data = b64encode(path.read_bytes()).decode()
    return Markup('<img alt="{}" src="data:{};base64,{}">').format(path.stem, MEDIA[path.suffix], data)


def drawing(path: Path, label: str) -> Markup:
    """An SVG file of ours to stand in a page: with ids of its own, at most as wide as it was drawn."""
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", svg)
    head, end, rest = svg.partition(">")
    wide = re.search(r' width="([\d.]+pt)"', head)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    style = f' style="--wide: {wide[1]}"' if wide else ""
    # The drawing is our own, so that it needs no escaping; the label may hold anything.
    return Markup('{} role="img" aria-label="{}"{}{}{}').format(
        Markup(head), label, Markup(style), Markup(end), Markup(rest)
    )
