"""StarDist 2D behind the engine protocol; an optional extra, never the default.

In: RGB and the slide's stain profile. Out: labelled nuclei. The package's percentiles per image are
not used: every window of a slide is scaled by the slide's own levels. Weights are a pinned archive
that is checked before anything reads it.
"""

from __future__ import annotations

from tme.cells.engines import SEGMENTERS
from tme.cells.engines._levels import JOINT_COUNTERSTAIN_OD, joint_image
from tme.cells.engines._optional import Extra
from tme.cells.engines._stardist_network import Network, load_network, refuse_file
from tme.cells.engines._supply import Published, Supply, known
from tme.cells.engines._weights import pinned_weights
from tme.cells.nuclei import of_right_size
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.errors import EngineError
from tme.slide.types import RGB
from tme.stains.types import StainProfile

EXTRA = Extra("stardist", "stardist", (0, 9), (0, 10), "tensorflow")
# sha256 that the package stardist 0.9.2 itself checks its download against.
PUBLISHED = (
    Published(
        "python_2D_versatile_he.zip",
        "https://github.com/stardist/stardist-models/releases/download/v0.1/python_2D_versatile_he.zip",
        "f1696ef0631bd7e1c0e5c0d3017e2b4c6a95e284c6aab9c22fc2f08317817b28",
        "nuclei on H&E",
    ),
)
KNOWN_WEIGHTS = known(PUBLISHED)
FETCH = f"run `tme models fetch stardist` where there is a network (it gets {PUBLISHED[0].url})"


class StardistEngine:
    """A loaded network.

    Parameters
    ----------
    network : Network
    settings : CellSettings
    sha256 : str
        Of the weights.
    """

    def __init__(self, network: Network, settings: CellSettings, sha256: str) -> None:
        self.network = network
        self.settings = settings
        self.model_id = network.model_id
        self.model_sha256 = sha256

    def segment(self, rgb: RGB, mpp: float, profile: StainProfile) -> Detections:
        """See `tme.cells.engines.Engine`; the thresholds are those that came with the weights."""
        labels, _ = self.network.model.predict_instances(
            joint_image(rgb, profile, JOINT_COUNTERSTAIN_OD),
            axes="YXC",
            normalizer=None,
            show_tile_progress=False,
            predict_kwargs={"verbose": 0},
        )
        return Detections(of_right_size(labels, self.settings, mpp))


class StardistSegmenter:
    """Registry entry of StarDist.

    Its H&E network was trained on sections at 40x. It sees 94 px around a pixel; the window with its
    halo is a multiple of its stride of 16.
    """

    name = "stardist"
    mpp = 0.25
    core_px = 1088
    halo_px = 96
    fixed_window = True
    licence = "code and published weights BSD-3-Clause; trained on data under CC BY-NC-SA and CC BY"
    needs_weights = True
    package = EXTRA.package
    supply = Supply(PUBLISHED, refuse=refuse_file)

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`."""
        return EXTRA.missing()

    def load(self, settings: CellSettings) -> StardistEngine:
        """See `tme.cells.engines.Segmenter`."""
        EXTRA.require()
        if settings.device == "gpu":
            raise EngineError(
                "the stardist engine computes on the CPU only",
                where="cells.device: gpu",
                why="on a GPU TensorFlow does not give the same cells twice without further care",
                fix="set cells.device: auto, or choose an engine that uses a GPU",
            )
        path, sha256 = pinned_weights(settings, KNOWN_WEIGHTS, FETCH)
        return StardistEngine(load_network(path), settings, sha256)


SEGMENTERS.add("stardist", StardistSegmenter())
