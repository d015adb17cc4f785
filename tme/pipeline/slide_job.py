"""One slide from file to published folder: the only file that knows the order of the stages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tme.cohort import SlideRow
from tme.config import Config
from tme.errors import SlideError, TileError
from tme.metrics import SlideContext, measure_slide
from tme.pipeline.dask_runner import make_runner
from tme.pipeline.inputs import checked_sha256, frozen_threshold, slide_annotations
from tme.pipeline.outcome import Outcome
from tme.pipeline.publish import Findings, publish, publish_empty, slide_keys
from tme.pipeline.slide_stages import SlideStages
from tme.pipeline.source import SlideSource, TravellingSlide, opened
from tme.pipeline.stage_store import StageStore
from tme.regions import build_regions
from tme.slide.damage import MOST_SHARE, damaged_tiles
from tme.slide.guards import shown
from tme.slide.preflight import preflight
from tme.stains import STAINS, Stain
from tme.store import recover
from tme.tissue import quality
from tme.tissue.types import TissueMask
from tme.vessels.stained import stained_from_json


@dataclass(frozen=True)
class SlideJob:
    """What one slide's job is told.

    Attributes
    ----------
    row : SlideRow
    config : Config
    results : Path
        The run's output folder.
    plan_key : str
        Hash of ``inputs``; see `tme.pipeline.plan.key_inputs`.
    inputs : dict
    """

    row: SlideRow
    config: Config
    results: Path
    plan_key: str
    inputs: dict[str, Any]

    @property
    def folder(self) -> Path:
        """``slides/<slide_id>``, the published artefact."""
        return self.results / "slides" / self.row.slide_id

    @property
    def stain(self) -> Stain:
        """The registered stain of the slide."""
        return STAINS.get(self.row.stain)

    def stages(self) -> StageStore:
        """The slide's saved stages."""
        return StageStore(self.folder, self.results / ".stages" / self.row.slide_id)

    def emptied(self) -> Path:
        """The slide's folder without results, for an outcome that has none; finished stages are kept."""
        self.stages().keep()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self.folder

    def outcome(self, status: str, what: str = "", cautions: tuple[str, ...] = ()) -> Outcome:
        """How this job ended."""
        return Outcome(self.row.slide_id, status, self.plan_key, what, cautions=cautions)


def run_slide(job: SlideJob) -> Outcome:
    """Sheet row -> Slide -> TissueMask -> StainProfile -> Cells, Vessels -> Measurements -> folder.

    Raises
    ------
    TmeError
        When the slide cannot be used; the caller makes it a failed outcome.
    """
    try:
        return _run(job, left_out=False)
    except TileError:
        # Only now are all tiles tried, so that a sound slide pays nothing, and the slide starts again.
        return _run(job, left_out=True)


def _run(job: SlideJob, left_out: bool) -> Outcome:
    recover(job.folder)
    if job.row.exclude:
        job.stages().keep()
        return publish_empty(job.folder, job.plan_key, job.inputs, job.outcome("excluded", job.row.exclude))
    # Before anything costly: a damaged file of annotations fails the slide.
    annotations = slide_annotations(job.row, job.config)
    slide, noticed = _open(job, left_out)
    store = job.stages()
    stages = SlideStages(store, slide, job.stain, job.config, frozen_threshold(job.row, job.config))
    tissue = stages.tissue()
    if not tissue.tissue.any():
        found = Findings(slide, tissue, outcome=job.outcome("excluded", "no tissue was found on the slide"))
        return publish(job.folder, job.row, job.config, job.plan_key, job.inputs, store, found)
    noticed = (*noticed, *_unreadable(slide, tissue))
    profile = stages.profile(tissue)
    if job.stain.has_tils or "vessels" in job.stain.targets:
        stages.section(profile)
    with make_runner(job.config.run) as runner:
        cells, no_cells = stages.cells(tissue, profile, runner)
        vessels, no_vessels = stages.vessels(tissue, profile, runner)
    regions = build_regions(tissue, annotations, slide.info.mpp)
    stain = (*profile.cautions, *filter(None, [profile.threshold_note]))
    seen = [one for found in (cells, vessels) if found for one in found.provenance["cautions"]]
    cautions = (*noticed, *quality(tissue, None)["cautions"], *stain, *seen, *regions.cautions)
    outcome = job.outcome("ok", cautions=cautions)
    context = SlideContext(
        keys=slide_keys(job.row, slide, cells, vessels, job.config, outcome),
        stain=job.stain,
        mpp=slide.info.mpp,
        tissue=tissue,
        compartments=regions.compartments,
        excluded=regions.excluded,
        cells=cells.table if cells else None,
        vessels=vessels.table if vessels else None,
        profile=profile,
        missing={"cells": no_cells, "vessels": no_vessels},
        stained=stained_from_json(vessels.provenance["stained"]) if vessels else None,
    )
    measurements = measure_slide(context, job.config.metrics)
    found = Findings(slide, tissue, outcome, profile, cells, vessels, regions, measurements)
    return publish(job.folder, job.row, job.config, job.plan_key, job.inputs, store, found)


def _open(job: SlideJob, left_out: bool) -> tuple[TravellingSlide, tuple[str, ...]]:
    row = job.row
    checked = preflight(row.path, row.mpp, job.stain.targets[0])
    errors = tuple(problem for problem in checked.problems if problem.severity == "error")
    if errors:
        raise SlideError("the slide cannot be used", problems=errors)
    source = SlideSource(row.path, row.mpp, checked_sha256(row))
    if left_out:
        source = replace(source, left_out=damaged_tiles(opened(source)))
    noticed = tuple(problem.what for problem in checked.problems if problem.severity == "caution")
    return TravellingSlide(source, opened(source).info), noticed


def _unreadable(slide: TravellingSlide, tissue: TissueMask) -> tuple[str, ...]:
    """What to say of damaged tiles; more of the tissue than can be spared fails the slide."""
    count = len(slide.source.left_out)
    if not count:
        return ()
    lost = tissue.area_mm2(tissue.artefact("unreadable")) / tissue.area_mm2(tissue.tissue)
    said = f"{count} tile{'s' * (count > 1)} cannot be decoded"
    if lost > MOST_SHARE:
        raise SlideError(
            f"{said}, {100 * lost:.1f} % of the tissue",
            where=shown(slide.source.path),
            why=f"more than {100 * MOST_SHARE:g} % would be left out",
            fix="copy the slide from the scanner again and compare file sizes",
        )
    return (f"{said}; {100 * lost:.2g} % of the tissue is left out of counts and areas",)
