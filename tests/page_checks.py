"""What must hold for every page tme writes, whatever text goes in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

VOID = {"meta", "link", "img", "input", "br"}
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); //",
    "</style></script><svg onload=alert(1)>",
    "{x} {{ 7 * 7 }} {% raw %}",
    "</title><b>",
    "javascript:alert(1)",
    "=1+1",
    "很" * 64,
    "a&lt;b&amp;",
    "\u2028\u202egnp.exe",
    "--><!--",
)


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tree: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.tree.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(page: str) -> _Tree:
    parser = _Tree()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def element_tree(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes, in order."""
    return _parsed(page).tree


SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
CODE = re.compile(r"<(script|style)[^>]*>.*?</\1>", re.DOTALL)


def page_text(page: str) -> str:
    """All text of a page, as a reader sees it: without scripts, their data and styles."""
    return "".join(_parsed(CODE.sub("", page)).text)


def page_data(page: str) -> Any:
    """The data a report's charts are drawn from."""
    (text,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def check_scripts(page: str) -> None:
    """Every script in the page runs by the policy's hash of it, and the policy allows no other."""
    hashes = {
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in SCRIPT.findall(page)
    }
    (policy,) = re.findall(r'content="(default-src[^"]*)"', page)
    (allowed,) = re.findall(r"script-src ([^;]*)", policy.replace("&#39;", "'"))
    assert hashes == set(allowed.split())


def check_page(page: str) -> None:
    """No event attributes, no remote address, a policy, and none of the word the contract forbids.

    Scripts that run by their hash are those of this package and of a library, and are left out.
    """
    page = SCRIPT.sub("<script></script>", page)
    parsed = _parsed(page)
    names = {name for name, _ in parsed.attributes}
    assert not {name for name in names if name.startswith("on")}
    targets = [value for name, value in parsed.attributes if name in {"href", "src", "action", "data"}]
    asked = [value for value in targets if not value.startswith("data:image/")]
    assert not [value for value in asked if ":" in value or value.startswith("//")]
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page
    assert "normalis" not in page.casefold()
    assert "normaliz" not in page.casefold()


def find_chromium() -> str:
    """A Chromium of this machine; skips the test where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def browse(page: Path, profile: Path, width: int = 1280, *more: str) -> tuple[str, list[str]]:
    """The page after its scripts have run, and what it wrote to the console."""
    done = subprocess.run(
        [
            find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage",
            f"--user-data-dir={profile}", f"--window-size={width},900",
            "--virtual-time-budget=20000", "--enable-logging=stderr", *more, "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, [line for line in console if "setting log level" not in line]
