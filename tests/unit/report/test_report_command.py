"""`tme report` from the command line, and what the page says of tiny and odd cohorts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.made_cohort import write_cohort
from tests.made_results import MadePatient, listed, write_results
from tests.page_checks import check_page, check_scripts, page_data, page_text
from tests.unit.report.test_report_browser import call
from tme.config import Config
from tme.locks import run_lock
from tme.report import printing
from tme.report.artefacts import read_run
from tme.report.methods import methods_text
from tme.report.remark import remark
from tme.safety import file_sha256
from tme.store import read_json, write_json
from tme.tables import read_csv

HEADER = "patient_id,response,pct_change_sld,pfs_days,pfs_event,os_days,os_event\n"


def report_text(results: Path) -> str:
    return (results / "report" / "index.html").read_text(encoding="utf-8")


class TestCommand:
    def test_report_shared_and_figures(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        results, outcomes = write_cohort(tmp_path, 4)
        assert call("associate", str(results), str(outcomes)) == 0
        shared = results / "report" / "shared.html"
        assert call("report", str(results), "--share") == 0
        first = shared.read_bytes()
        assert call("report", str(results), "--share") == 0
        assert shared.read_bytes() == first
        assert b"LMS-0" not in first
        assert "Change beside outcome" in page_text(first.decode())
        assert (results / "provenance" / "pseudonyms.json").stat().st_mode & 0o077 == 0
        assert "it holds no names" in capsys.readouterr().out

    def test_the_manifest_knows_the_new_page(self, tmp_path: Path) -> None:
        results, outcomes = write_cohort(tmp_path, 3)
        written = read_json(results / "manifest.json")
        write_json(
            results / "manifest.json", {**written, "files": {**written["files"], "report/index.html": "old"}}
        )
        assert call("associate", str(results), str(outcomes)) == 0
        files = read_json(results / "manifest.json")["files"]
        assert files == {
            "report/index.html": file_sha256(results / "report" / "index.html"),
            **written["files"],
        }

    @pytest.mark.parametrize("more", [[], ["--share"], ["--figures"]])
    def test_tables_edited_by_hand_are_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
    ) -> None:
        results, _ = write_cohort(tmp_path, 3)
        words = ["report", str(results), *more, *([str(tmp_path / "figures")] if "--figures" in more else [])]
        table = results / "slide_metrics.csv"
        whole = table.read_bytes()
        table.write_bytes(whole.replace(b"LMS-001", b"LMS-007"))
        assert call(*words) == 3
        said = capsys.readouterr().err
        assert "slide_metrics.csv" in said
        assert "not as the run wrote it" in said
        assert not list(results.rglob("*.html"))
        # Ends of lines change when results are sent as text.
        table.write_bytes(whole.replace(b"\r\n", b"\n"))
        assert call(*words) == 0

    def test_while_a_run_works_there_the_folder_is_in_use(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results, outcomes = write_cohort(tmp_path, 3)
        # A run puts the list of what is finished away before it begins.
        (results / "manifest.json").unlink()
        with run_lock(results):
            assert call("report", str(results)) == 4
            assert call("associate", str(results), str(outcomes)) == 4
        capsys.readouterr()
        assert call("report", str(results)) == 2
        assert "the run in this folder has not ended" in capsys.readouterr().err

    def test_a_folder_without_results_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("report", str(tmp_path)) == 2
        assert "this is not a folder of finished results" in capsys.readouterr().err

    def test_without_a_browser_pdf_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results, _ = write_cohort(tmp_path, 2)
        monkeypatch.setattr(printing, "BROWSERS", ("no-such-browser",))
        assert call("report", str(results), "--pdf") == 2
        assert "--figures needs no browser" in capsys.readouterr().err
        assert (results / "report" / "index.html").is_file()

    def test_a_damaged_key_is_not_replaced(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        results, _ = write_cohort(tmp_path, 2)
        write_json(results / "provenance" / "pseudonyms.json", {"key": "not hexadecimal"})
        assert call("report", str(results), "--share") != 0
        assert "patients get new pseudonyms" in capsys.readouterr().err


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and outcomes of three patients after `tme associate`: copied, never changed."""
    folder = tmp_path_factory.mktemp("associated")
    results, outcomes = write_cohort(folder, 3)
    assert call("associate", str(results), str(outcomes)) == 0
    return folder


@pytest.fixture
def associated(kept: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Results and outcomes of three patients after `tme associate`."""
    folder = shutil.copytree(kept, tmp_path / "associated")
    return folder / "results", folder / "outcomes.csv"


class TestCohorts:
    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
    def test_tiny_ones_have_a_page(self, tmp_path: Path, n: int) -> None:
        results = write_results(tmp_path / "r", [MadePatient(f"P{i}", 100, 300) for i in range(n)])
        outcomes = tmp_path / "outcomes.csv"
        outcomes.write_text(
            HEADER + "".join(f"P{i},PR,-40,{90 + i},true,{190 + i},false\n" for i in range(n))
        )
        assert call("associate", str(results), str(outcomes)) == 0
        page = report_text(results)
        check_page(page)
        check_scripts(page)
        text = page_text(page)
        assert f"Best response: {n} PR." in text
        assert "Change, responders against others: no estimate. No non-responder to compare with." in text

    def test_without_partners_or_biopsy_days_there_are_reasons(self, tmp_path: Path) -> None:
        patients = [
            MadePatient("P0", 100, None),
            MadePatient("P1", None, 50),
            MadePatient("P2", 9, 9, day=None),
        ]
        results = write_results(tmp_path / "r", patients)
        outcomes = tmp_path / "outcomes.csv"
        outcomes.write_text(HEADER + "P0,PR,-40,90,true,190,false\nP2,SD,0,90,true,190,false\n")
        assert call("associate", str(results), str(outcomes)) == 0
        text = page_text(report_text(results))
        assert "No curve: no patient has a change" in text
        assert "− 2 no pair" in text
        bars = page_data(report_text(results))["metrics"]["CD8.til_density_per_mm2"]["waterfall"]["bars"]
        assert [bar["value"] is None for bar in bars] == [False, True, True]

    def test_tables_changed_after_associate_hide_its_tests(self, associated: tuple[Path, Path]) -> None:
        results, _ = associated
        assert "Change beside outcome" in page_text(report_text(results))
        with (results / "pairs.csv").open("a", encoding="utf-8", newline="") as stream:
            stream.write((results / "pairs.csv").read_text(encoding="utf-8").splitlines()[-1] + "\r\n")
        listed(results)
        assert call("report", str(results)) == 0
        text = page_text(report_text(results))
        assert "The outcome tables do not belong to these results" in text
        assert "Change beside outcome" not in text

    def test_outcome_tables_edited_by_hand_are_left_out(self, associated: tuple[Path, Path]) -> None:
        results, _ = associated
        tests = results / "cohort_tests.csv"
        tests.write_text(tests.read_text(encoding="utf-8").replace(",0.", ",0.0"), encoding="utf-8")
        assert call("report", str(results)) == 0
        text = page_text(report_text(results))
        assert "The outcome tables do not belong to these results" in text
        assert "Change beside outcome" not in text
        tests.write_bytes(b"\xff")
        assert call("report", str(results)) == 0

    @pytest.mark.parametrize(
        "content", ["", "{", "null", "[]", "{}", '{"tables_sha256": null}', '{"settings": {"family": ["x"]}}']
    )
    def test_a_damaged_note_of_associate_hides_its_tables(
        self, associated: tuple[Path, Path], content: str
    ) -> None:
        results, outcomes = associated
        note = results / "provenance" / "associate.json"
        made = read_json(note)
        if content.startswith('{"settings'):
            write_json(note, {**made, "settings": {**made["settings"], "alpha": 0.2}})
        else:
            note.write_text(content, encoding="utf-8")
        assert call("report", str(results)) == 0
        assert "The outcome tables do not belong to these results" in page_text(report_text(results))
        assert call("associate", str(results), str(outcomes)) == 0
        assert "Change beside outcome" in page_text(report_text(results))


class TestWords:
    def test_methods_come_from_the_settings(self, tmp_path: Path) -> None:
        results, outcomes = write_cohort(tmp_path, 4)
        config = Config.model_validate(
            {"metrics": {"min_area_mm2": 0.7}, "change": {"rc_log2": {"mvd_per_mm2": 0.8}}}
        )
        text = dict(methods_text(read_run(results, config)))
        assert "at least 0.7 mm²" in text["Measurements"]
        assert "0.8 for mvd_per_mm2" in text["Change"]
        # No class of plasma cells is ever given.
        assert "were cells of the class lymphocyte; plasma cells have no class of their own" in text["Cells"]
        assert "Outcomes" not in text
        assert "views" not in " ".join(text.values())
        several = Config.model_validate({"cells": {"views": 4}})
        assert "from 4 turned" in " ".join(dict(methods_text(read_run(results, several))).values())
        assert call("associate", str(results), str(outcomes)) == 0
        assert "Benjamini" in dict(methods_text(read_run(results, Config())))["Outcomes"]

    def test_remark_fills_with_the_run_and_names_its_gaps(self, tmp_path: Path) -> None:
        results, outcomes = write_cohort(tmp_path, 24)
        before = remark(read_run(results, Config()))
        assert [item.number for item in before] == list(range(1, 21))
        assert call("associate", str(results), str(outcomes)) == 0
        after = remark(read_run(results, Config()))
        filled = [sum(item.state == "filled" for item in items) for items in (before, after)]
        assert filled[0] < filled[1]
        assert all(item.missing for item in after if item.state != "filled")
        assert after[2].state == "gap"
        assert "events of progression" in after[11].known

    def test_remark_counts_estimates_and_intervals_apart(self, tmp_path: Path) -> None:
        results, outcomes = write_cohort(tmp_path, 4)
        assert call("associate", str(results), str(outcomes)) == 0
        after = remark(read_run(results, Config()))
        rows = [row for row in read_csv(results / "cohort_tests.csv") if not row["adjusted_for"]]
        shown = [row for row in rows if row["subset"] == "all" and row["estimate"]]
        bounded = [row for row in shown if row["ci_low"]]
        assert 0 < len(bounded) < len(shown)
        assert f"{len(shown)} estimates, {len(bounded)} of them with intervals" in after[14].known
