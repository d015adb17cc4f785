"""Control slides to one frozen threshold, its interval, its file, and which slide takes which."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cell_scenes import profile_of
from tme.errors import ConfigError
from tme.stains.calibration import (
    BETWEEN_PRIOR_OD,
    DRIFT_OD,
    FEWEST_CONTROLS,
    Calibration,
    Control,
    Entry,
    Frozen,
    calibration_json,
    combine,
    control_of,
    drift_note,
    frozen_for,
    load_calibration,
)
from tme.store import sealed, write_json

GLASS, BLUE = (245.0, 244.0, 243.0), (0.65, 0.7, 0.29)
STAGES = {"tissue": 1, "stain": 4}
cuts = st.lists(st.floats(0.06, 0.4), min_size=1, max_size=12)


def control(cut: float, reach: float = 0.005, number: int = 1) -> Control:
    return Control(f"c{number}", "ab" * 32, cut, cut - reach, cut + reach, GLASS, BLUE)


def entry(stain: str, batch: str, *values: float) -> Entry:
    return combine(stain, batch, [control(cut, number=number) for number, cut in enumerate(values)])


def written(path: Path, *entries: Entry, stages: dict[str, int] = STAGES) -> Path:
    write_json(path, calibration_json(entries, {}, {"tme": "0", "stages": stages}))
    return path


@given(cuts)
def test_the_frozen_threshold_lies_among_the_controls_and_inside_its_interval(values: list[float]) -> None:
    found = entry("CD8", "", *values)
    assert min(values) - 1e-4 <= found.threshold_od <= max(values) + 1e-4
    assert 0 <= found.low_od <= found.threshold_od <= found.high_od
    assert (found.sd_source == "prior") is (len(values) < FEWEST_CONTROLS)
    assert len(found.controls) == len(values)


def test_few_controls_are_told_how_far_slides_differ() -> None:
    one, three = entry("CD8", "", 0.12), entry("CD8", "", 0.12, 0.12, 0.12)
    assert one.between_sd_od == three.between_sd_od == BETWEEN_PRIOR_OD
    assert one.high_od - one.threshold_od == pytest.approx(1.96 * BETWEEN_PRIOR_OD, abs=2e-4)
    assert three.high_od - three.threshold_od == pytest.approx(
        1.96 * BETWEEN_PRIOR_OD / math.sqrt(3), abs=2e-4
    )
    apart = entry("CD8", "", 0.1, 0.2)
    assert apart.between_sd_od > BETWEEN_PRIOR_OD


def test_enough_controls_speak_for_themselves() -> None:
    values = (0.10, 0.12, 0.14, 0.16)
    found = entry("CD8", "", *values)
    reach = 3.182446 * np.std(values, ddof=1) / 2
    assert (found.threshold_od, found.sd_source) == (0.13, "controls")
    assert found.high_od - 0.13 == pytest.approx(reach, abs=1e-4)
    # Alike by chance: what a single slide does not know is not undercut.
    wide = combine("CD8", "", [control(0.12, 0.02, number) for number in range(4)])
    assert wide.high_od - wide.threshold_od == pytest.approx(3.182446 * 0.02 / 1.95996 / 2, abs=1e-4)


def test_the_interval_holds_the_mean_of_all_slides() -> None:
    """95 % by name; 4 to 8 controls of slides that differ by 0.02 OD."""
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        values = generator.normal(0.13, 0.02, generator.integers(4, 9))
        found = entry("CD8", "", *values)
        inside.append(found.low_od <= 0.13 <= found.high_od)
    assert 0.92 <= np.mean(inside) <= 0.98


def test_a_profile_makes_a_control_only_with_a_threshold_of_its_own() -> None:
    profile = replace(profile_of("CD8"), threshold_low_od=0.19, threshold_high_od=0.21)
    found = control_of("a", "ff" * 32, profile)
    assert (found.threshold_od, found.low_od, found.high_od) == (0.2, 0.19, 0.21)
    assert found.background == profile.background
    assert found.haematoxylin == pytest.approx(profile.vectors[0], abs=1e-4)
    with pytest.raises(ValueError, match="no control"):
        control_of("a", "ff" * 32, profile_of("CD8"))


def test_a_file_gives_back_what_was_frozen_and_is_the_same_for_the_same_controls(tmp_path: Path) -> None:
    entries = entry("CD8", "run 7", 0.12, 0.14), entry("CD31", "", 0.1)
    found = load_calibration(written(tmp_path / "a.json", *entries))
    assert found == Calibration(entries, STAGES)
    again = written(tmp_path / "b.json", *entries)
    assert again.read_bytes() == (tmp_path / "a.json").read_bytes()


def test_line_ends_and_indents_may_change(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", entry("CD8", "", 0.12))
    value = json.loads(path.read_text())
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(value).replace(", ", ",\r\n").encode())
    assert load_calibration(path).entries[0].threshold_od == 0.12


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", entry("CD8", "", 0.12))
    path.write_text(path.read_text().replace('"threshold_od": 0.12', '"threshold_od": 0.13'))
    with pytest.raises(ConfigError, match="was changed after it was written") as caught:
        load_calibration(path)
    assert "tme calibrate" in caught.value.problem.fix


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"thresholds": "none"},
        {"thresholds": [{"stain": "CD8"}]},
        {"made_by": {}},
        {"made_by": {"stages": []}},
    ],
)
def test_a_sealed_file_that_is_no_calibration_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = written(tmp_path / "a.json", entry("CD8", "", 0.12))
    write_json(path, sealed({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError, match="not a calibration tme can read"):
        load_calibration(path)


@pytest.mark.parametrize(("name", "value"), [("threshold_od", 4.0), ("low_od", 0.2), ("high_od", None)])
def test_numbers_that_are_no_threshold_are_refused(tmp_path: Path, name: str, value: float | None) -> None:
    path = written(tmp_path / "a.json", entry("CD8", "", 0.12))
    content = json.loads(path.read_text())
    content["thresholds"][0][name] = value
    write_json(path, sealed(content))
    with pytest.raises(ConfigError, match="not a calibration tme can read"):
        load_calibration(path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"sha256": 1}', '{"sha256": NaN}'])
def test_what_is_no_sealed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.json.*cannot be read"):
        load_calibration(tmp_path / "a.json")
    with pytest.raises(ConfigError, match="No such file"):
        load_calibration(tmp_path / "gone.json")


CALIBRATION = Calibration(
    (entry("CD8", "run 7", 0.12), entry("CD8", "", 0.16), entry("CD31", "run 7", 0.1)), STAGES
)


@pytest.mark.parametrize(
    ("stain", "batch", "expected", "source"),
    [
        ("CD8", "run 7", 0.12, "control"),
        ("CD8", "run 8", 0.16, "calibration"),
        ("CD8", "", 0.16, "calibration"),
        ("CD31", "run 7", 0.1, "control"),
    ],
)
def test_a_slide_takes_its_batchs_threshold_else_the_stains(
    stain: str, batch: str, expected: float, source: str
) -> None:
    found = frozen_for(CALIBRATION, stain, batch, STAGES)
    assert (found.threshold_od, found.source, found.note) == (expected, source, "")


@pytest.mark.parametrize(
    ("stain", "batch", "words"),
    [
        ("CD31", "run 8", "batch 'run 8' of CD31"),
        ("CD31", "", "CD31 without a batch"),
        ("CD3", "run 7", "CD3"),
    ],
)
def test_what_has_no_entry_is_named(stain: str, batch: str, words: str) -> None:
    found = frozen_for(CALIBRATION, stain, batch, STAGES)
    assert found.threshold_od is None
    assert words in found.note
    assert "the slide's own is used" in found.note


def test_controls_read_by_another_version_are_used_with_a_caution() -> None:
    found = frozen_for(CALIBRATION, "CD8", "", {**STAGES, "stain": 5})
    assert found.threshold_od == 0.16
    assert "another version (stain)" in found.note


def test_a_slide_unlike_its_controls_says_so() -> None:
    frozen = Frozen(0.15, 0.14, 0.16, "control")
    assert drift_note(0.15 + DRIFT_OD - 0.001, frozen) == ""
    assert "0.20 OD, its control slides at 0.15" in drift_note(0.15 + DRIFT_OD + 0.01, frozen)
    assert "not stained or scanned" in drift_note(0.15 - DRIFT_OD - 0.01, frozen)
    assert drift_note(None, frozen) == ""
