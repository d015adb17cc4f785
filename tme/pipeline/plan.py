"""What will run, what is cached, and why: computed from hashes alone, without opening a slide.

The same plan serves `tme run`, a bare ``snakemake`` and ``--plan``. It depends on the sheet, the
configuration and the files' fingerprints, never on clocks or on how many cores there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tme.cohort import Cohort, SlideRow
from tme.config import Config, settings_hash
from tme.errors import SlideError
from tme.pipeline.inputs import engine_version, frozen_threshold, own_stain_settings
from tme.pipeline.outcome import OUTCOME, load_outcome
from tme.pipeline.versions import STAGES
from tme.safety import error_text, file_sha256
from tme.slide.hashing import members
from tme.stains import STAINS
from tme.store import is_intact, read_manifest

Fingerprint = Callable[[Path], str]


@dataclass(frozen=True)
class SlidePlan:
    """One slide's part of the plan.

    Attributes
    ----------
    slide_id : str
    key : str
        sha256 of all that can change the slide's artefacts, with the slide's cheap fingerprint.
    done : bool
    why : str
        Why it has to run; ``cached`` when done.
    megabytes : float
        Size of the slide's files.
    """

    slide_id: str
    key: str
    done: bool
    why: str
    megabytes: float


@dataclass(frozen=True)
class Plan:
    """The slides of a run and the batches they are computed in, both in the sheet's order."""

    slides: tuple[SlidePlan, ...]
    batches: tuple[tuple[str, ...], ...]

    @property
    def pending(self) -> tuple[SlidePlan, ...]:
        return tuple(slide for slide in self.slides if not slide.done)


def make_plan(cohort: Cohort, config: Config, results: Path, fingerprint: Fingerprint) -> Plan:
    """Compare what the sheet and the settings ask for with what ``results`` holds.

    Parameters
    ----------
    cohort : Cohort
    config : Config
    results : Path
        Output folder; need not exist.
    fingerprint : callable
        Cheap hash of a slide's files.
    """
    slides = []
    for row in cohort.slides:
        inputs = key_inputs(row, config, fingerprint)
        done, why = _state(results / "slides" / row.slide_id, inputs)
        slides.append(SlidePlan(row.slide_id, settings_hash(inputs), done, why, _megabytes(row.path)))
    return Plan(tuple(slides), _batches(slides, config.run.batch_mb))


def key_inputs(row: SlideRow, config: Config, fingerprint: Fingerprint) -> dict[str, object]:
    """Everything that can change a slide's artefacts, by name; its hash is the plan's key."""
    stain = STAINS.get(row.stain)
    sections: dict[str, Any] = {
        "tissue": config.tissue,
        "stain": own_stain_settings(config),
        "regions": config.regions,
        "metrics": config.metrics,
        "overlay": config.overlay,
    }
    frozen = frozen_threshold(row, config)
    if frozen is not None:
        sections["calibration"] = asdict(frozen)
    if "cells" in stain.targets:
        sections["cells"] = config.cells.model_copy(update={"weights": _file_hash(config.cells.weights)})
        sections["engine"] = engine_version(config)
    if "vessels" in stain.targets:
        sections["vessels"] = config.vessels
    return {
        "slide": _slide_hash(row.path, fingerprint),
        "stain": row.stain,
        "mpp": row.mpp,
        "exclude": row.exclude,
        "sha256": row.sha256,
        "annotations": _file_hash(row.annotations),
        "shown": [row.patient_id, row.lesion_id, row.timepoint],
        "settings": {name: settings_hash(section) for name, section in sections.items()},
        "versions": dict(STAGES),
    }


def discard_failed(results: Path, plan: Plan) -> None:
    """Remove outcomes that must not count as results: of failed slides and of changed ones.

    Called before a run by whoever drives it, so that Snakemake finds those files missing.
    """
    for slide in plan.pending:
        (results / "slides" / slide.slide_id / OUTCOME).unlink(missing_ok=True)


def _state(folder: Path, inputs: dict[str, object]) -> tuple[bool, str]:
    outcome = load_outcome(folder)
    if outcome is None:
        manifest = read_manifest(folder)
        return False, "new" if manifest is None else "its outcome is missing"
    if outcome.status == "failed":
        return False, f"failed before: {outcome.what}"
    if outcome.plan_key != settings_hash(inputs):
        manifest = read_manifest(folder)
        before = manifest.inputs if manifest else {}
        return False, _difference(before, inputs)
    if not is_intact(folder):
        return False, "files are missing or cut short"
    return True, "cached"


def _difference(before: dict[str, object], now: dict[str, object]) -> str:
    changed = []
    for name, value in now.items():
        old = before.get(name)
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            inner = sorted(key for key in {*old, *value} if old.get(key) != value.get(key))
            changed += [f"{name} of {key}" for key in inner]
        else:
            changed.append(name)
    return "changed: " + (", ".join(changed) or "key")


def _file_hash(path: Path | str | None) -> str:
    return file_sha256(Path(path)) if path and Path(path).is_file() else ""


def _slide_hash(path: Path, fingerprint: Fingerprint) -> str:
    """The slide's fingerprint; of one that cannot be read, what is wrong with it.

    Such a slide fails in its own job, where it stops no other.
    """
    try:
        return fingerprint(path)
    except (SlideError, OSError) as error:
        return f"unreadable: {error_text(error)}"


def _megabytes(path: Path) -> float:
    """Size of all files of the slide; 0 where they cannot be read."""
    try:
        return sum(file.stat().st_size for _, file in members(path)) / 1e6
    except (SlideError, OSError):
        return 0.0


def _batches(slides: list[SlidePlan], limit_mb: float) -> tuple[tuple[str, ...], ...]:
    """Neighbouring small slides share a process; a slide above the limit is alone."""
    batches: list[tuple[str, ...]] = []
    current: list[str] = []
    filled = 0.0
    for slide in slides:
        if current and filled + slide.megabytes > limit_mb:
            batches.append(tuple(current))
            current, filled = [], 0.0
        current.append(slide.slide_id)
        filled += slide.megabytes
    if current:
        batches.append(tuple(current))
    return tuple(batches)
