"""A shared report holds no name, and says the same of every patient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_cohort import write_cohort
from tme.config import Config
from tme.report.artefacts import Run, read_run
from tme.report.report import report_page
from tme.report.share import pseudonyms, shared_run

KEY = bytes(32)
NAMES = ("Müller-Anna", "<script>alert(1)</script>", "7")


def a_run(folder: Path) -> Run:
    results, _ = write_cohort(folder, 3, names=NAMES)
    return read_run(results, Config())


def test_no_name_is_left_and_numbers_stay(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    shared = shared_run(run, KEY)
    page = report_page(shared)
    assert not any(name in page for name in ("Müller", "alert(1)", "slide-0", "../pairs.csv", "../slides/"))
    assert len(shared.patients()) == 3
    assert sorted(row["value_pre"] for row in shared.pairs) == sorted(row["value_pre"] for row in run.pairs)
    # The thumbnails are found under the slides' own names.
    assert page.count("data:image/webp") == len(run.one_per_slide())


def test_names_within_words_of_tme_are_replaced_and_what_people_wrote_is_left_out(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    slide = run.one_per_slide()[0]["slide_id"]
    rows = [dict(row) for row in run.slides]
    rows[0] |= {"caution": f"see {slide} of Müller-Anna, class 'Dr Smith' is not known"}
    rows[1] |= {"status": "excluded", "reason": "Mrs Müller withdrew"}
    rows[2] |= {"status": "failed", "reason": "Mueller.svs is cut off", "batch": "Ward Smith"}
    shared = shared_run(replace(run, slides=rows), KEY)
    text = str(shared.slides)
    assert not any(word in text for word in ("Müller", "Mueller", "Smith", slide))
    assert "class '…' is not known" in text
    assert "left out by the sample sheet" in text


def test_a_number_is_a_name_only_where_names_stand(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    rows = [{**row, "not_evaluable_reason": "7 of 7 squares"} for row in run.slides]
    shared = shared_run(replace(run, slides=rows), KEY)
    assert {row["not_evaluable_reason"] for row in shared.slides} == {"7 of 7 squares"}
    assert "7" not in shared.patients()


@pytest.mark.parametrize("word", ["CD8", "evaluable", "increase", "baseline"])
def test_a_name_that_is_a_word_of_tme_changes_no_number(tmp_path: Path, word: str) -> None:
    results, _ = write_cohort(tmp_path, 3, names=(word, "B2-x", "C3-x"))
    run = read_run(results, Config())
    runs = [replace(run, pairs=[{**row, "lesion_id": word} for row in run.pairs]), run]
    for own in runs:
        shared = shared_run(own, KEY)
        for column in ("stain", "compartment", "metric", "change_call", "timepoint_pre"):
            assert sorted(row[column] for row in shared.pairs) == sorted(row[column] for row in own.pairs)
        assert word not in shared.patients()


def test_the_order_of_patients_tells_nobody(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    backwards = replace(run, slides=run.slides[::-1], pairs=run.pairs[::-1])
    for one in (run, backwards):
        patients = [row["patient_id"] for row in shared_run(one, KEY).pairs]
        assert patients == sorted(patients)


@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=40), st.binary(min_size=16, max_size=32))
def test_pseudonyms_differ_whatever_the_order(patients: set[str], key: bytes) -> None:
    found = pseudonyms(patients, key)
    assert len(set(found.values())) == len(patients)
    assert found == pseudonyms(sorted(patients, reverse=True), key)


@pytest.mark.parametrize("more", [(), ("P2", "P3")])
def test_a_pseudonym_stays_when_patients_come_and_needs_the_key(more: tuple[str, ...]) -> None:
    assert pseudonyms(["P1", *more], KEY)["P1"] == pseudonyms(["P1"], KEY)["P1"]
    assert pseudonyms(["P1"], KEY) != pseudonyms(["P1"], b"another")
