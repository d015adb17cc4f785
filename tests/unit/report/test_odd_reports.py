"""Reports of tiny cohorts, of zeros, without partners, events or days: nothing is empty or false."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.made_results import MadePatient, write_results
from tests.page_checks import browse, check_page, find_chromium, page_data, page_text
from tme.pipeline.associate import AssociateRequest, run_associate
from tme.pipeline.finished import finished_config
from tme.pipeline.report_job import rewrite_report
from tme.report.scale import linear_axis, log_axis
from tme.report.words import counted, sentence

HEADER = ("patient_id", "response", "pct_change_sld", "pfs_days", "pfs_event", "os_days", "os_event")
Cohort = tuple[Sequence[MadePatient], Sequence[Sequence[object]]]


def patients(n: int, **more: Any) -> list[MadePatient]:
    return [MadePatient(f"P{i:02d}", 100 + 7 * i, 300 - 40 * i, **more) for i in range(n)]


def outcomes(
    cohort: Sequence[MadePatient], responses: str = "PR SD PD", events: Sequence[bool] = (True, False)
) -> list[list[object]]:
    words = responses.split()
    return [
        [one.patient_id, words[i % len(words)], 5 * i - 40, 80 + 30 * i, events[i % len(events)],
         150 + 40 * i, events[(i + 1) % len(events)]]
        for i, one in enumerate(cohort)
    ]  # fmt: skip


def cohort(of: Sequence[MadePatient], **more: Any) -> Cohort:
    return of, outcomes(of, **more)


ZEROS = [MadePatient(f"P{i:02d}", 0, 0) for i in range(5)]
SOME_ZEROS = [MadePatient("P00", 0, 60), MadePatient("P01", 60, 0), *ZEROS[2:]]
NO_PARTNER = [MadePatient(f"P{i:02d}", 100 + i, None) for i in range(5)]
ODD: dict[str, Callable[[], Cohort]] = {
    **{f"{n} patients": lambda n=n: cohort(patients(n)) for n in (1, 2, 3, 5)},  # type: ignore[misc]
    "all respond": lambda: cohort(patients(8), responses="PR"),
    "none can be evaluated": lambda: cohort(patients(4), responses="NE"),
    "zeros": lambda: cohort(ZEROS),
    "some zeros": lambda: cohort(SOME_ZEROS),
    "no partner": lambda: cohort(NO_PARTNER),
    "too small": lambda: cohort(patients(6, judged=False)),
    "all censored": lambda: cohort(patients(6), events=(False,)),
    "no biopsy day": lambda: cohort(patients(6, day=None)),
}


def report(folder: Path, made: Cohort, associates: bool = True) -> Path:
    """The report of a cohort, with its outcomes or before them."""
    results = write_results(folder / "results", made[0])
    if associates:
        with (folder / "outcomes.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([HEADER, *made[1]])
        run_associate(AssociateRequest(results, folder / "outcomes.csv"), lambda _: None)
        return results / "report" / "index.html"
    return rewrite_report(results, finished_config(results))


@pytest.mark.parametrize("associates", [False, True])
@pytest.mark.parametrize("name", ODD)
def test_no_number_is_made_up_and_no_place_is_empty(tmp_path: Path, name: str, associates: bool) -> None:
    page = report(tmp_path, ODD[name](), associates).read_text(encoding="utf-8")
    check_page(page)
    text = page_text(page)
    assert not re.search(r"(?<![A-Za-z])(nan|NaN|inf|undefined)(?![A-Za-z])", text)
    assert not re.search(r"\b1 (patients|events|slides)\b", text)
    data = page_data(page)
    for section in data["metrics"].values():
        for plot in filter(None, (section["slope"], section["waterfall"])):
            assert plot["axis"]["ticks"]
    if data["metrics"]["CD8.til_density_per_mm2"]["slope"] is None:
        assert "No patient has a value at both time points." in text
    elif data["metrics"]["CD8.til_density_per_mm2"]["waterfall"] is None:
        assert "No change to show: no pair of samples is evaluable." in text
    for panel in data["forest"].values():
        if all(effect["at"] is None for effect in panel["effects"]):
            assert re.search(rf"{re.escape(panel['title'])}: no estimate\. [A-Z0-9].+?\.", text)
    if associates and not data["survival"]:
        assert "No curve: no patient has a change" in text


def test_reasons_keep_their_capitals(tmp_path: Path) -> None:
    text = page_text(report(tmp_path, ODD["none can be evaluated"]()).read_text(encoding="utf-8"))
    assert "Odds of response per doubling: no estimate. No patient left: 4 NE." in text
    assert sentence("no patient left: 4 NE") == "No patient left: 4 NE"


def test_open_squares_are_only_explained_where_there_are_squares(tmp_path: Path) -> None:
    pages = [report(tmp_path / name, ODD[name]()) for name in ("no partner", "5 patients")]
    said = ["Filled: all patients." in page_text(page.read_text(encoding="utf-8")) for page in pages]
    assert said == [False, True]


def test_intervals_are_only_spoken_of_where_they_are_drawn(tmp_path: Path) -> None:
    share = {"change": {"primary_metrics": ["CD8.til_density_per_mm2", "CD8.til_fraction_pct"]}}
    results = write_results(tmp_path / "results", patients(3), share)
    page = rewrite_report(results, finished_config(results)).read_text(encoding="utf-8")
    density, fraction = re.findall(r"Change of each patient<small>(.+?)</small>", page)
    assert re.match(r"fold, with 95.% interval", density)
    assert fraction == "difference"


def test_two_patients_have_no_rank_correlation(tmp_path: Path) -> None:
    """They are always in perfect order, which would be drawn at the end of the axis."""
    data = page_data(report(tmp_path, ODD["2 patients"]()).read_text(encoding="utf-8"))
    assert [effect["reason"] for effect in data["forest"]["spearman"]["effects"]] == ["fewer than 3 patients"]


def test_a_short_logarithmic_axis_has_ticks_to_read_by() -> None:
    assert [text for _, text in log_axis([25.0, 75.0]).ticks] == ["30", "40", "50", "60", "70", "80"]
    assert [text for _, text in log_axis([10.0, 100.0]).ticks] == ["10", "20", "50", "100"]


def test_an_axis_of_zeros_has_no_ticks_without_data() -> None:
    for axis in (log_axis([0.0, 0.0]), linear_axis([0.0]), linear_axis([0.0], signed=True)):
        assert axis.ticks == ((0.0, "0"),)
        assert axis.low < axis.place(0.0) < axis.high


def test_one_is_no_plural() -> None:
    assert (counted(1, "patient"), counted(0, "patient")) == ("1 patient", "0 patients")
    assert counted(2, "slide was", "slides were") == "2 slides were"


# Tells what the page's legends say, chart by chart, and whether the page is wider than its window.
PROBE = """
<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" src="%(page)s" style="border:0;width:%(width)dpx;height:900px"></iframe>
<script>
const frame = document.getElementById("frame");
const check = () => {
  const inner = frame.contentDocument;
  if (inner.body.dataset.ready !== "yes") return setTimeout(check, 100);
  const figures = [...inner.querySelectorAll("figure")].filter((figure) => figure.offsetParent);
  const legends = figures.map((figure) => [...figure.querySelectorAll("[data-mark]")]
    .filter((item) => item.offsetParent).map((item) => item.dataset.mark));
  const found = { legends, wide: inner.documentElement.scrollWidth, text: inner.body.innerText };
  document.body.setAttribute("data-found", JSON.stringify(found));
};
frame.addEventListener("load", check);
</script>
"""


def probe(page: Path, folder: Path, width: int) -> dict[str, Any]:
    around = folder / "around.html"
    around.write_text(PROBE % {"page": page.as_uri(), "width": width}, encoding="utf-8")
    document, console = browse(around, folder / "profile", 1400, "--allow-file-access-from-files")
    assert console == []
    (found,) = re.findall(r'data-found="([^"]*)"', document)
    return dict(json.loads(html.unescape(found)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "legends"),
    [
        ("some zeros", 400, [["within_noise"], ["responder", "non_responder", "within_noise", "band"], [],
                             ["responder", "non_responder"]]),
        ("too small", 1280, [["not_evaluable"], ["not_evaluable"]]),
    ],
)  # fmt: skip
def test_legends_name_what_is_drawn(tmp_path: Path, name: str, width: int, legends: list[list[str]]) -> None:
    find_chromium()
    found = probe(report(tmp_path, ODD[name]()), tmp_path, width)
    assert found["legends"][: len(legends)] == legends
    assert not any(found["legends"][len(legends) :])
    assert found["wide"] <= width
    reason = found["text"].count("No change to show: no pair of samples is evaluable.")
    assert reason == (2 if name == "too small" else 0)
