"""Control slides -> frozen thresholds, one for each stain and batch, and which of them a slide takes.

In: `StainProfile` of control slides. Out: a `Calibration`, saved as JSON under the sha256 of its own
content (`tme.store.sealed`). What is frozen is the threshold alone; a slide keeps its own glass and its own
blue, and those of the controls stand in the file to compare with (ADR 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from tme.errors import ConfigError
from tme.stains.types import StainProfile, Vector
from tme.store import read_sealed, sealed

FORMAT = "tme calibration"
VERSION = 1
BETWEEN_PRIOR_OD = 0.015
"""SD of the cut between slides, used with fewer than `FEWEST_CONTROLS`: 0.014 over 13 fields of Ki-67."""
FEWEST_CONTROLS = 4
LEVEL = 0.975
MOST_OD = 3.0
DRIFT_OD = 0.04
"""How far a slide's own cut may lie from the frozen one unsaid: half of the least distance a cut keeps from
the negative nuclei. Over 13 fields of Ki-67 a field's own lies up to 0.03 from the mean of the others."""


@dataclass(frozen=True)
class Control:
    """One control slide: its own cut with its 95 % interval, OD, and the colours it was read with."""

    slide_id: str
    sha256: str
    threshold_od: float
    low_od: float
    high_od: float
    background: Vector
    haematoxylin: Vector


@dataclass(frozen=True)
class Entry:
    """The frozen threshold of one stain and batch.

    Attributes
    ----------
    stain, batch : str
        An empty batch stands for every slide of the stain whose own batch has no entry.
    threshold_od : float
        Mean of the controls' cuts.
    low_od, high_od : float
        95 % interval of that mean.
    between_sd_od : float
        SD between control slides behind the interval.
    sd_source : {"controls", "prior"}
        Whether it was read from them, or is `BETWEEN_PRIOR_OD` as there are fewer than `FEWEST_CONTROLS`.
    controls : tuple of Control
    """

    stain: str
    batch: str
    threshold_od: float
    low_od: float
    high_od: float
    between_sd_od: float
    sd_source: str
    controls: tuple[Control, ...]


@dataclass(frozen=True)
class Calibration:
    """Frozen thresholds and what they were read with.

    Attributes
    ----------
    entries : tuple of Entry
    stages : dict
        Stage -> version of the algorithm.
    """

    entries: tuple[Entry, ...]
    stages: Mapping[str, int]


@dataclass(frozen=True)
class Frozen:
    """What a calibration has for one slide.

    Attributes
    ----------
    threshold_od, low_od, high_od : float or None
        None where it has nothing.
    source : {"", "control", "calibration"}
        From the controls of the slide's own batch, or from the stain's entry without a batch.
    note : str
        Why there is nothing, or why what there is may not be trusted.
    """

    threshold_od: float | None = None
    low_od: float | None = None
    high_od: float | None = None
    source: str = ""
    note: str = ""


def control_of(slide_id: str, sha256: str, profile: StainProfile) -> Control:
    """A control slide from its profile, whose threshold is the slide's own, with an interval."""
    cut, low, high = profile.dab_threshold_od, profile.threshold_low_od, profile.threshold_high_od
    if cut is None or low is None or high is None:
        raise ValueError("a slide without a threshold of its own is no control")
    red, green, blue = (round(part, 4) for part in profile.vectors[0])
    return Control(slide_id, sha256, cut, low, high, profile.background, (red, green, blue))


def combine(stain: str, batch: str, controls: Sequence[Control]) -> Entry:
    """The threshold of one stain and batch from its control slides, at least one."""
    cuts = np.array([control.threshold_od for control in controls])
    widths = np.array([control.high_od - control.low_od for control in controls])
    within = widths / (2 * float(special.ndtri(LEVEL)))
    count = len(controls)
    known = count >= FEWEST_CONTROLS
    between = float(cuts.std(ddof=1)) if count > 1 else 0.0
    between = between if known else max(between, BETWEEN_PRIOR_OD)
    # Scatter between slides holds that within them; a few alike by chance must not undercut the latter.
    error = max(between, float(np.sqrt(np.mean(within**2)))) / count**0.5
    reach = float(special.stdtrit(count - 1, LEVEL) if known else special.ndtri(LEVEL)) * error
    value = float(cuts.mean())
    return Entry(
        stain,
        batch,
        round(value, 4),
        round(max(value - reach, 0.0), 4),
        round(value + reach, 4),
        round(between, 4),
        "controls" if known else "prior",
        tuple(controls),
    )


def calibration_json(
    entries: Iterable[Entry], settings: dict[str, Any], made_by: dict[str, Any]
) -> dict[str, Any]:
    """The file's content with its sha256.

    Parameters
    ----------
    entries : iterable of Entry
    settings : dict
        Those the controls were read with.
    made_by : dict
        Versions of tme and of its stages.
    """
    return sealed(
        {
            "format": FORMAT,
            "version": VERSION,
            "made_by": made_by,
            "settings": settings,
            "thresholds": [asdict(entry) for entry in entries],
        }
    )


def load_calibration(path: Path, remedy: str = "make it again with `tme calibrate`") -> Calibration:
    """Read a calibration and hold it against its own sha256.

    Raises
    ------
    ConfigError
        If it cannot be read, was changed, is of another version, or is not what `calibration_json` writes.
    """
    raw = read_sealed(path, "the calibration", remedy)
    try:
        if (raw["format"], raw["version"]) != (FORMAT, VERSION):
            raise ValueError(f"{raw['format']!r} version {raw['version']!r}; this program reads {VERSION}")
        stages = {str(name): int(number) for name, number in raw["made_by"]["stages"].items()}
        return Calibration(tuple(_entry(entry) for entry in raw["thresholds"]), stages)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "this is not a calibration tme can read",
            where=path.name,
            why=f"{type(error).__name__}: {error}"[:200],
            fix=remedy,
        ) from error


def frozen_for(calibration: Calibration, stain: str, batch: str, stages: Mapping[str, int]) -> Frozen:
    """What the calibration has for a slide: the entry of its batch, else the one without a batch.

    ``stages`` are the versions slides are read with now.
    """
    entries = {entry.batch: entry for entry in calibration.entries if entry.stain == stain}
    entry = entries.get(batch, entries.get(""))
    if entry is None:
        lacking = f"batch {batch!r} of {stain}" if entries and batch else stain
        lacking = f"slides of {stain} without a batch" if entries and not batch else lacking
        return Frozen(note=f"the calibration has no threshold for {lacking}: the slide's own is used")
    source = "control" if batch and entry.batch == batch else "calibration"
    changed = [name for name, version in calibration.stages.items() if stages.get(name) != version]
    note = f"the controls were read by another version ({', '.join(changed)}): calibrate again"
    return Frozen(entry.threshold_od, entry.low_od, entry.high_od, source, note if changed else "")


def drift_note(own_od: float | None, frozen: Frozen) -> str:
    """A sentence where the slide's own histogram contradicts the frozen threshold, else empty."""
    if own_od is None or frozen.threshold_od is None or abs(own_od - frozen.threshold_od) <= DRIFT_OD:
        return ""
    return (
        f"the slide's own histogram puts the cut at {own_od:.2f} OD, its control slides at "
        f"{frozen.threshold_od:.2f}: it is not stained or scanned as they are"
    )


def _entry(raw: dict[str, Any]) -> Entry:
    controls = tuple(
        Control(**{**one, "background": tuple(one["background"]), "haematoxylin": tuple(one["haematoxylin"])})
        for one in raw["controls"]
    )
    numbers = {name: float(raw[name]) for name in ("threshold_od", "low_od", "high_od")}
    if not 0 <= numbers["low_od"] <= numbers["threshold_od"] <= numbers["high_od"] <= MOST_OD:
        raise ValueError(f"{numbers} is no threshold with its interval")
    return Entry(**{**raw, **numbers, "controls": controls})
