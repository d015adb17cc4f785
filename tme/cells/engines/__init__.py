"""Segmenters: one file per engine, registered by name.

In: RGB of a fixed window, its µm/px and the slide's stain profile. Out: `Detections`. An engine
never sees the slide, the tissue mask or another window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from tme.cells.engines._supply import Supply
from tme.cells.engines._views import STRIDE
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.memory import keep_freed
from tme.registry import Registry
from tme.slide.types import RGB
from tme.stains.types import StainProfile


class Engine(Protocol):
    """A loaded engine, ready to segment.

    Attributes
    ----------
    model_id : str
        Name and version of the method or network; goes into every table.
    model_sha256 : str
        Hash of the weights; empty for an engine without weights.

    An engine that knows what its weights were trained on says so in ``domain``, a mapping of the measures of
    `tme.cells.domain` to (low, high).
    """

    model_id: str
    model_sha256: str

    def segment(self, rgb: RGB, mpp: float, profile: StainProfile) -> Detections:
        """Instances in an (H, W, 3) uint8 window at ``mpp`` µm/px."""
        ...


class Segmenter(Protocol):
    """What is known of an engine before its weights are loaded.

    Attributes
    ----------
    name : str
    mpp : float
        µm/px the engine works at.
    core_px, halo_px : int
        Window the engine sees: core, and context on every side, in pixels at ``mpp``.
    fixed_window : bool
        Whether every window must have its full size, filled up with white at the slide's edge; else they
        are cut to the tissue they hold.
    licence : str
        Of code and weights, for the user to judge.
    needs_weights : bool
    package : str
        Distribution it is written for, of which another version may find other cells; empty where the code is
        tme's own or the plug-in names none. What it computes with (PyTorch, OpenVINO …) does not count.
    supply : Supply
        Its weights, for `tme models`; a plug-in may say nothing of them.
    """

    name: str
    mpp: float
    core_px: int
    halo_px: int
    fixed_window: bool
    licence: str
    needs_weights: bool
    package: str
    supply: Supply

    def missing(self) -> str:
        """Why the engine cannot run here, in one sentence that says what to install; empty if it can.

        Looks at what is installed only: weights are the settings' business.
        """
        ...

    def load(self, settings: CellSettings) -> Engine:
        """The engine with its weights.

        Raises
        ------
        EngineError
            If a package or the weights are missing; the message says what to fetch.
        """
        ...


SEGMENTERS: Registry[Segmenter] = Registry("segmenter", "tme.cells.engines", "tme.segmenters")


def supply_of(segmenter: Segmenter) -> Supply:
    """What it says of its weights; nothing, where a plug-in does not."""
    return getattr(segmenter, "supply", Supply())


def halo_px(settings: CellSettings) -> int:
    """Context a window needs on every side: the engine's, and a step more where shifted views see further."""
    return SEGMENTERS.get(settings.engine).halo_px + (STRIDE if settings.views > 1 else 0)


@lru_cache(maxsize=2)
def load_engine(settings: CellSettings) -> Engine:
    """The engine the settings name, loaded once per process, which then works through windows."""
    keep_freed()
    return SEGMENTERS.get(settings.engine).load(settings)


__all__ = ["SEGMENTERS", "Engine", "Segmenter", "halo_px", "load_engine", "supply_of"]
