"""The page as PDF, printed by a browser: it has the charts, and the fonts for every name."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tme.errors import ConfigError
from tme.store import write_bytes

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)  # fmt: skip
LONGEST_S = 300
SHEET_PX = "1277,1806"
"""The sheet of the page's print style, 338 x 478 mm, at 96 px to the inch."""
DRAWING_MS = 60_000
"""Time the page is given to draw; the browser's own clock, which runs ahead while nothing happens."""


def print_page(page: Path, target: Path) -> None:
    """Print an HTML file to PDF with the first browser found: Chromium, Chrome or Edge, without a window.

    Raises
    ------
    ConfigError
        If there is none, or it does not print.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ConfigError(
            "there is no browser to print the PDF with",
            where=str(page),
            why="--pdf needs Chromium, Chrome or Edge on this machine",
            fix="install one, or open the page in any browser and print it; --figures needs no browser",
        )
    with tempfile.TemporaryDirectory(prefix="tme-print-") as folder:
        made = Path(folder) / "page.pdf"
        words = [
            browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions",
            "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            f"--user-data-dir={folder}/profile", f"--virtual-time-budget={DRAWING_MS}",
            "--no-pdf-header-footer", f"--window-size={SHEET_PX}", f"--print-to-pdf={made}",
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Chromium has no sandbox for root, as in containers, and says so by not starting.
            words.append("--no-sandbox")
        why = _run([*words, page.resolve().as_uri()])
        if not made.is_file():
            raise ConfigError(
                "the browser did not print the page",
                where=str(page),
                why=why[-200:] or "it gave no reason",
                fix="open the page in a browser and print it",
            )
        write_bytes(target, made.read_bytes())


def _run(words: list[str]) -> str:
    """What the browser said on its way."""
    try:
        done = subprocess.run(  # noqa: S603 - a browser of this machine, and a file of the results
            words, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it was not done after {LONGEST_S} s"
    return " ".join(done.stderr.split())
