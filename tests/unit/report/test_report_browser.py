"""The report in a real browser: charts drawn, nothing on the console, nothing asked of the network, fast."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.made_cohort import write_cohort
from tests.page_checks import browse, check_page, check_scripts, find_chromium
from tme import cli
from tme.report.printing import print_page

HOSTILE = ("<script>alert(1)</script>", "=1+1", "很" * 64, '"><img src=x>', "$$x^2$$", "P06", "P07")
MOST_BYTES = 8_000_000
MOST_MS = 2000

# Runs inside a frame of the asked width and tells the page around it what is there.
PROBE = """
<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" src="%(page)s" style="border:0;width:%(width)dpx;height:900px"></iframe>
<script>
const say = (name, value) => document.body.setAttribute("data-" + name, JSON.stringify(value));
const frame = document.getElementById("frame");
const below = (root) => [...root.querySelectorAll("*")].flatMap(
  (e) => [e, ...(e.shadowRoot ? below(e.shadowRoot) : [])]);
const inked = (place) => below(place).filter((e) => e.tagName === "CANVAS" && e.width).map((c) => {
  const pixels = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let n = 0;
  for (let i = 3; i < pixels.length; i += 4) n += pixels[i] > 60;
  return n;
}).reduce((a, b) => a + b, 0);
const check = () => {
  const inner = frame.contentDocument;
  if (inner.body.dataset.ready !== "yes") return setTimeout(check, 100);
  const places = [...inner.querySelectorAll("[data-chart]")].filter((p) => p.offsetParent);
  say("charts", places.map((p) => [p.dataset.chart, p.dataset.drawn || "", inked(p)]));
  say("wide", inner.documentElement.scrollWidth);
  const asked = frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name);
  say("asked", asked.filter((name) => !name.startsWith("data:") && !name.startsWith("blob:")));
  say("images", inner.querySelectorAll('img:not([src^="data:"])').length);
  const table = inner.querySelector('table[data-table="slides"]');
  const first = () => table.tBodies[0].rows[0].cells[1].textContent;
  const before = first();
  const sort = table.querySelectorAll("th .sort")[0];
  sort.click(); sort.click();
  say("sorted", [before, first()]);
  const input = table.closest(".wide").previousElementSibling.querySelector("input");
  input.value = "CD31"; input.dispatchEvent(new Event("input"));
  const left = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  say("filtered", left.map((row) => row.cells[4].textContent));
  const make = frame.contentWindow.URL;
  make.createObjectURL = (blob) => { blob.text().then((text) => say("csv", text)); return "#"; };
  const bar = inner.querySelector("#changes table").closest(".wide").previousElementSibling;
  bar.querySelector("button").click();
  const chooser = inner.getElementById("metric");
  chooser.selectedIndex = chooser.options.length - 1;
  chooser.dispatchEvent(new Event("change"));
  setTimeout(() => {
    const other = inner.getElementById("other");
    say("chosen", [other.querySelector("h3").textContent, other.querySelectorAll("tbody tr").length,
      inked(other.querySelector("[data-chart]"))]);
  }, 1500);
};
frame.addEventListener("load", check);
</script>
"""
PAINT = """
<!DOCTYPE html><body><iframe id="frame" src="%s" style="width:1280px;height:900px"></iframe>
<script>
const look = () => {
  const [paint] = frame.contentWindow.performance.getEntriesByType("paint");
  if (paint) console.log("painted after " + Math.round(paint.startTime) + " ms");
  else setTimeout(look, 50);
};
frame.addEventListener("load", look);
</script>
"""


def call(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("sys.argv", ["tme", *words])
        cli.main()
    return int(ended.value.code or 0)


def probe(page: Path, folder: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """What the page says of itself at a width, and what the console got."""
    around = folder / f"probe-{width}.html"
    around.write_text(PROBE % {"page": page.as_uri(), "width": width}, encoding="utf-8")
    document, console = browse(around, folder / f"profile-{width}", 1400, "--allow-file-access-from-files")
    said = re.findall(r'data-(\w+)="([^"]*)"', document.split("<iframe")[0])
    return {name: json.loads(html.unescape(value)) for name, value in said}, console


def first_paint(page: Path, folder: Path) -> int:
    """Milliseconds from asking for the page until something of it is seen."""
    folder.mkdir()
    around = folder / "around.html"
    around.write_text(PAINT % page.as_uri(), encoding="utf-8")
    words = [
        find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-dev-shm-usage", "--allow-file-access-from-files",
        "--enable-logging=stderr", f"--user-data-dir={folder}/profile", "--remote-debugging-port=0",
        around.as_uri(),
    ]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as browser:
        assert browser.stderr is not None
        try:
            found = (re.search(r"painted after (\d+) ms", line) for line in browser.stderr)
            return int(next(filter(None, found))[1])
        finally:
            browser.terminate()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    find_chromium()
    folder = tmp_path_factory.mktemp("cohort")
    made, outcomes = write_cohort(folder, 0, names=[*HOSTILE, *(f"Q{i:02d}" for i in range(13))])
    assert call("associate", str(made), str(outcomes)) == 0
    return made


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_charts_are_drawn_and_tables_work(results: Path, tmp_path: Path, width: int) -> None:
    said, console = probe(results / "report" / "index.html", tmp_path, width)
    assert console == []
    kinds = {kind for kind, _, _ in said["charts"]}
    assert kinds == {"slope", "waterfall", "forest", "survival"}
    assert all(drawn and ink > 300 for _, drawn, ink in said["charts"]), said["charts"]
    assert said["wide"] <= width
    assert said["images"] == 0
    assert said["asked"] == []
    assert said["sorted"][0] != said["sorted"][1]
    assert set(said["filtered"]) == {"CD31"}
    lines = said["csv"].split("\r\n")
    assert lines[0].startswith("Patient,Response,Compartment,baseline,on treatment,Fold")
    cells = {line.split(",")[0] for line in lines[1:]}
    assert {"'=1+1", "<script>alert(1)</script>", "很" * 64} <= cells
    title, rows, ink = said["chosen"]
    assert title.startswith("CD31")
    assert rows == 20
    assert ink > 300


@pytest.mark.slow
def test_a_hundred_patients_are_small_quick_and_ask_nothing_of_the_network(tmp_path: Path) -> None:
    find_chromium()
    made, outcomes = write_cohort(tmp_path, 100)
    assert call("associate", str(made), str(outcomes)) == 0
    page = made / "report" / "index.html"
    text = page.read_text(encoding="utf-8")
    check_page(text)
    check_scripts(text)
    assert page.stat().st_size < MOST_BYTES
    said, console = probe(page, tmp_path, 1280)
    assert console == []
    assert said["asked"] == []
    assert all(drawn for _, drawn, _ in said["charts"])
    # By the clock of the wall, so the best of a few tries: other work may have taken the processor.
    assert min(first_paint(page, tmp_path / f"try-{number}") for number in range(3)) < MOST_MS


def test_a_page_is_printed_with_the_browser_found(tmp_path: Path) -> None:
    find_chromium()
    page = tmp_path / "page with a space.html"
    page.write_text("<!DOCTYPE html><p>changes", encoding="utf-8")
    print_page(page, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
