"""Tasks of one slide as plain values that any process can run.

A worker opens its own handle of the slide and its own engine, once per process: handles are never
shared between processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from tme.cells import segment_task
from tme.cells.engines import SEGMENTERS
from tme.config import CellSettings, VesselSettings
from tme.slide import open_slide
from tme.slide.types import Slide
from tme.stains import STAINS, StainProfile
from tme.tiles import Window
from tme.vessels import mask_task


@dataclass(frozen=True)
class SlideSource:
    """What a worker needs to open a slide.

    ``content`` is the sha256 of the slide, so that a handle is never reused for other bytes.
    """

    path: Path
    mpp: float | None
    content: str


@dataclass(frozen=True)
class CellTask:
    """Windows of one task, and what segmenting them depends on."""

    source: SlideSource
    windows: tuple[Window, ...]
    mpp: float
    stain: str
    profile: StainProfile
    settings: CellSettings


@dataclass(frozen=True)
class VesselTask:
    """Windows of one task, and what finding endothelium in them depends on."""

    source: SlideSource
    windows: tuple[Window, ...]
    mpp: float
    stain: str
    profile: StainProfile
    settings: VesselSettings


@lru_cache(maxsize=2)
def opened(source: SlideSource) -> Slide:
    """This process's handle of a slide."""
    return open_slide(source.path, source.mpp)


@lru_cache(maxsize=2)
def engine(settings: CellSettings) -> Any:
    """This process's engine."""
    return SEGMENTERS.get(settings.engine).load(settings)


def run_cells(task: CellTask) -> pa.Table:
    """Segment and measure the cells of one task."""
    return segment_task(
        task.windows,
        opened(task.source),
        engine(task.settings),
        task.profile,
        STAINS.get(task.stain),
        task.settings,
        task.mpp,
    )


def run_vessels(task: VesselTask) -> Any:
    """Find the endothelium of one task."""
    return mask_task(
        task.windows, opened(task.source), task.profile, STAINS.get(task.stain), task.settings, task.mpp
    )
