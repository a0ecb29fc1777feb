"""Pages read as HTML, and opened in a browser where one is installed."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Reader(HTMLParser):
    """Collects what a page points at, and whether its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.links += [value or "" for key, value in attributes if key in ("href", "src", "xlink:href")]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("meta", "link", "img", "br"):
            return
        assert self.open.pop() == tag


def opened(page: Path, script: str, tmp_path: Path) -> dict[str, object]:
    """What a script that runs in the page, 390 pixels wide, reports.

    With the page's ``errors``, those that it wrote to the console among them, and what it ``asked`` for
    beside itself, which its own policy forbids.
    """
    if BROWSER is None:
        pytest.skip("no chromium is installed")
    early = (
        "<script>window.errors = []; window.asked = [];"
        "addEventListener('error', e => errors.push(e.message));"
        "document.addEventListener('securitypolicyviolation', e => asked.push(e.blockedURI));"
        "console.error = console.warn = (...words) => errors.push(words.join(' '));</script>"
    )
    late = (
        f"<script>addEventListener('load', () => {{const told = (() => {{{script}}})();"
        "parent.postMessage(JSON.stringify({...told, errors, asked}), '*')})</script>"
    )
    text = page.read_text().replace("<head>", f"<head>{early}").replace("</body>", f"{late}</body>")
    (tmp_path / "page.html").write_text(text)
    frame = (
        "<pre></pre><script>const told = document.querySelector('pre');"
        "addEventListener('message', e => told.textContent = e.data)</script>"
        "<iframe src='page.html' style='width:390px;height:844px;border:0'></iframe>"
    )
    (tmp_path / "frame.html").write_text(frame)
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=5000 --dump-dom"
    )
    command = [
        BROWSER,
        *quiet.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"file://{tmp_path}/frame.html",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"<pre>(.+?)</pre>", ran.stdout, flags=re.S)
    assert found, ran.stderr
    told: dict[str, object] = json.loads(html.unescape(found[1]))
    return told
