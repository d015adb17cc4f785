"""One slide from file to published folder: the only file that knows the order of the stages."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tme.cohort import SlideRow
from tme.config import Config
from tme.errors import SlideError
from tme.metrics import SlideContext, measure_slide
from tme.pipeline.dask_runner import make_runner
from tme.pipeline.outcome import Outcome
from tme.pipeline.publish import publish
from tme.pipeline.slide_keys import slide_keys
from tme.pipeline.slide_stages import SlideStages
from tme.pipeline.source import SlideSource, TravellingSlide, opened
from tme.pipeline.stage_store import StageStore
from tme.regions import build_regions, read_annotations
from tme.slide import preflight
from tme.slide.hashing import content_sha256
from tme.stains import STAINS
from tme.store import recover


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

    def emptied(self) -> Path:
        """The slide's folder without results, for an outcome that has none."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self.folder
