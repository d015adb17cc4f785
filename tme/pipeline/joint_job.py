"""TIL slides and the vessel slides of the same block: registered, then measured together.

In: the cohort's slides as their jobs left them. Out: the same, where the TIL slides have their distances
to the vessels of a neighbouring section, or the reason why not. No other number changes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tme.change import SlideResult
from tme.cohort import Cohort, SlideRow
from tme.config import Config, settings_hash
from tme.errors import AnnotationError, ArtefactError
from tme.metrics import Measurements, SlideContext, measure_again, replaced
from tme.metrics.distance import distance_to_vessels
from tme.metrics.families.til_vessel import METRIC_NAMES, NEAR_UM, nothing
from tme.metrics.scope import NearVessels
from tme.pipeline.inputs import slide_annotations
from tme.pipeline.versions import STAGES
from tme.regions import Regions, build_regions
from tme.register import (
    CORE_UM,
    Patch,
    Registration,
    SectionMap,
    load_map,
    register_sections,
    write_picture,
)
from tme.safety import error_text
from tme.stains import STAINS
from tme.store import is_intact, new_artefact, read_json, read_manifest, recover, write_json
from tme.tables import SavedTable, read_parquet
from tme.tissue import load_mask
from tme.tissue.types import TissueMask

log = logging.getLogger("tme")

FAMILY = "til_vessel"
FOLDER = "registrations"


@dataclass(frozen=True, eq=False)
class Section:
    """One slide's artefacts, as its job published them."""

    row: SlideRow
    folder: Path
    mpp: float
    tissue: TissueMask
    regions: Regions
    key: str

    def map(self) -> SectionMap:
        """Its map to register by."""
        return load_map(self.folder / "section.png", self.tissue)


def join_sections(
    slides: Sequence[SlideResult], cohort: Cohort, config: Config, results: Path
) -> list[SlideResult]:
    """The slides, TIL slides with what can be said of their vessels.

    Parameters
    ----------
    slides : sequence of SlideResult
        In the order of the sheet.
    cohort : Cohort
    config : Config
    results : Path
        Holds ``slides/``; registrations are kept in ``registrations/``.
    """
    pairs = list(zip(cohort.slides, slides, strict=True))
    out = []
    for row, slide in pairs:
        measurements = slide.measurements
        stain = STAINS.get(row.stain)
        if measurements is not None and "vessels" not in stain.targets and _asked(measurements):
            partners = [pair for pair in pairs if _same_block(row, pair[0])]
            try:
                measurements = _joined(row, measurements, partners, config, results)
            except (AnnotationError, ArtefactError) as error:
                # A slide that cannot be read again loses this measure, not the cohort its tables.
                measurements = _without(measurements, error_text(error))
        out.append(replace(slide, measurements=measurements))
    return out


def _asked(measurements: Measurements) -> bool:
    """Whether the slide has cells that may be TILs, in any compartment."""
    return any(METRIC_NAMES[0] in part.estimates for part in measurements.compartments.values())


def _same_block(row: SlideRow, other: SlideRow) -> bool:
    """Whether the other is a vessel slide of the same block; blocks without a name are one."""
    names = ("patient_id", "lesion_id", "timepoint", "specimen_id", "block_id")
    return "vessels" in STAINS.get(other.stain).targets and all(
        getattr(row, name) == getattr(other, name) for name in names
    )


def _joined(
    row: SlideRow,
    measurements: Measurements,
    partners: Sequence[tuple[SlideRow, SlideResult]],
    config: Config,
    results: Path,
) -> Measurements:
    """The measurements with the vessels of the best partner, or with why there are none."""
    if not partners:
        return _without(measurements, "no section of this block is stained for vessels")
    reasons, best = [], None
    for other, slide in partners:
        try:
            found = _registered(row, measurements, other, slide, config, results)
        except (AnnotationError, ArtefactError) as error:
            found = error_text(error)
        if isinstance(found, str):
            reasons.append(f"{other.slide_id}: {found}")
        elif best is None or found.near.error_um < best.near.error_um:
            best = found
    if best is None:
        return _without(measurements, "; ".join(reasons))
    return measure_again(measurements, best.context(measurements), FAMILY, config.metrics)


def _without(measurements: Measurements, reason: str) -> Measurements:
    """The measurements with a reason in place of the family's numbers, in compartments that have it."""
    return replaced(
        measurements,
        FAMILY,
        {
            name: nothing(reason)
            for name, compartment in measurements.compartments.items()
            if METRIC_NAMES[0] in compartment.estimates
        },
    )


@dataclass(frozen=True, eq=False)
class Joined:
    """A TIL section and the vessels laid over it."""

    section: Section
    near: NearVessels

    def context(self, measurements: Measurements) -> SlideContext:
        """What the family measures in."""
        return SlideContext(
            keys=measurements.keys,
            stain=STAINS.get(self.section.row.stain),
            mpp=self.section.mpp,
            tissue=self.section.tissue,
            compartments=self.section.regions.compartments,
            excluded=self.section.regions.excluded,
            cells=SavedTable(self.section.folder / "cells.parquet"),
            registered=self.near,
        )


def _registered(
    row: SlideRow, own: Measurements, other: SlideRow, slide: SlideResult, config: Config, results: Path
) -> Joined | str:
    """The vessels of another slide over this one, or why they cannot be laid there."""
    if slide.measurements is None:
        return f"slide {slide.status}"
    withheld = slide.measurements.compartments["evaluable"].reasons.get("vessels", ())
    if withheld:
        return "; ".join(withheld)
    fixed = _section(row, own, config, results)
    moving = _section(other, slide.measurements, config, results)
    found = _registration(fixed, moving, results / FOLDER / row.slide_id / other.slide_id)
    if found.reason:
        return f"not registered, {found.reason}"
    return Joined(fixed, _near(fixed, moving, found))


def _section(row: SlideRow, measurements: Measurements, config: Config, results: Path) -> Section:
    folder = results / "slides" / row.slide_id
    manifest = read_manifest(folder)
    stages: dict[str, Any] = manifest.extra.get("stages", {}) if manifest else {}
    if not {"tissue", "section"} <= set(stages):
        raise ArtefactError("its section was not saved", where=row.slide_id, fix="run `tme run` again")
    tissue = load_mask(folder / "tissue.png", stages["tissue"]["value"])
    mpp = float(measurements.keys["mpp_um"])
    regions = build_regions(tissue, slide_annotations(row, config), mpp)
    return Section(row, folder, mpp, tissue, regions, stages["section"]["key"])


def _registration(fixed: Section, moving: Section, folder: Path) -> Registration:
    """Computed, or found again where neither section has changed."""
    key = settings_hash([fixed.key, moving.key, STAGES["register"]])
    recover(folder)
    if is_intact(folder, key, thorough=True):
        raw = read_json(folder / "registration.json")
        return Registration(**{**raw, "patches": tuple(Patch(**patch) for patch in raw["patches"])})
    maps = fixed.map(), moving.map()
    found = register_sections(*maps)
    with new_artefact(folder, key, {"fixed": fixed.key, "moving": moving.key}) as target:
        write_json(target / "registration.json", asdict(found))
        write_picture(target / "picture.jpg", *maps, found)
    log.info(
        "%s on %s: %s",
        moving.row.slide_id,
        fixed.row.slide_id,
        found.reason or f"registered within {found.error_um():.0f} µm",
    )
    return found


def _near(fixed: Section, moving: Section, found: Registration) -> NearVessels:
    """The moving section's vessels on the fixed one's tissue grid."""
    geometry = read_parquet(moving.folder / "vessels.parquet", ["geometry"])["geometry"]
    matrix = found.matrix(fixed.tissue.mpp, moving.tissue.mpp)
    height, width = fixed.tissue.shape
    flags = cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        moving.regions.evaluable.astype(np.uint8), matrix, (width, height), flags=flags | cv2.INTER_NEAREST
    ).astype(bool)
    known = seen & found.checked(fixed.tissue.shape, fixed.tissue.mpp, CORE_UM, NEAR_UM)
    distance = None
    if len(geometry):
        there = distance_to_vessels(geometry, moving.mpp, moving.tissue)
        # Beyond the moving slide's edge the distance goes on; 0 there would be a vessel along the edge.
        edge = cv2.BORDER_REPLICATE
        laid = cv2.warpAffine(there, matrix, (width, height), flags=flags | cv2.INTER_LINEAR, borderMode=edge)
        distance = np.asarray(laid, np.float32)
    return NearVessels(moving.row.slide_id, found.error_um(), distance, known)
