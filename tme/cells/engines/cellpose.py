"""Cellpose 3.1 (CPnet) and 4.x (SAM) behind the engine protocol; an optional extra, never the default.

In: RGB and the slide's stain profile. Out: labelled nuclei. The package's own per-image percentiles
are switched off: every window of a slide is scaled by the slide's own levels. Weights are a pinned
file that is checked before torch reads it, and read as plain tensors only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.cells.engines import SEGMENTERS
from tme.cells.engines._cellpose_network import Network, load_network, refuse_file
from tme.cells.engines._levels import DARK, joint_image
from tme.cells.engines._optional import Extra
from tme.cells.engines._supply import Published, Supply, known
from tme.cells.engines._torch import out_of_gpu_memory
from tme.cells.engines._weights import pinned_weights
from tme.cells.nuclei import of_right_size
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains import STAINS
from tme.stains.deconvolve import stain_od
from tme.stains.nuclear import nuclear_signal, typical_nucleus
from tme.stains.types import StainProfile
from tme.units import um_to_px

EXTRA = Extra("cellpose", "cellpose", (3, 1), (5, 0), "torch")
SITE = "https://www.cellpose.org/models"
HUB = "https://huggingface.co/mouseland/cellpose-sam/resolve/main"
# sha256 of the files cellpose's authors publish.
PUBLISHED = (
    Published(
        "nucleitorch_0",
        f"{SITE}/nucleitorch_0",
        "89ca45e4a45048d5010d29621466b1274b91b3dcb9714dce9f9e90a9a8671303",
        "nuclei, for cellpose 3.1",
    ),
    Published(
        "cpsam_v2",
        f"{HUB}/cpsam_v2",
        "0f1cc3f7ecdd8a037a57c6c48d9d8921391be4cbce3fa9f13c3e3a2e1253c667",
        "cells and nuclei, for cellpose 4",
    ),
    Published(
        "cyto3",
        f"{SITE}/cyto3",
        "2dc3087a8abd7da46d1ab0ddd5824639933cc3ff63b382af3fa1939a392db93c",
        "cells, for cellpose 3.1",
    ),
    Published(
        "cpsam",
        f"{HUB}/cpsam",
        "e1440429eb384f95afe32bcba6510f90d518eaedc917ede549bed6804004abe2",
        "cells and nuclei, for cellpose 4, former version",
    ),
)
KNOWN_WEIGHTS = known(PUBLISHED)
FETCH = (
    f"run `tme models fetch nucleitorch_0` for cellpose 3.1 or `tme models fetch cpsam_v2` for cellpose 4 "
    f"where there is a network (they get {PUBLISHED[0].url} and {PUBLISHED[1].url})"
)
# Version 3 wants to be told how large objects are; version 4 was trained on 7.5 to 120 px.
NUCLEUS_UM = 8.0
GPU_BATCH = 8


class CellposeEngine:
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
        """See `tme.cells.engines.Engine`.

        Raises
        ------
        SpaceError
            If the GPU's memory runs out.
        """
        image, options = self._input(rgb, mpp, profile)
        try:
            masks = self.network.model.eval(image, **options)[0]
        except self.network.out_of_memory as error:
            raise out_of_gpu_memory(error) from error
        labels = np.asarray(masks, np.int32).reshape(rgb.shape[:2])
        return Detections(of_right_size(labels, self.settings, mpp))

    def _input(
        self, rgb: RGB, mpp: float, profile: StainProfile
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Image and keywords of ``CellposeModel.eval``, each version's own way."""
        options: dict[str, Any] = {
            # One tile at a time on CPU: as fast, and attention over eight needs gigabytes.
            "batch_size": GPU_BATCH if self.network.gpu else 1,
            "normalize": {"normalize": False},
            "min_size": -1,
        }
        if self.network.generation == 3:
            diameter = um_to_px(NUCLEUS_UM, mpp)
            return nuclear_image(rgb, mpp, profile), options | {"channels": [0, 0], "diameter": diameter}
        return colour_image(rgb, profile), options | {"channel_axis": 2}


def nuclear_image(rgb: RGB, mpp: float, profile: StainProfile) -> NDArray[np.float32]:
    """(H, W) float32, nuclei bright on 0, about 1 where darkest: what version 3 was trained on."""
    stain = STAINS.get(profile.stain)
    signal = nuclear_signal(stain_od(rgb, profile), stain.kind, mpp)
    return np.asarray(signal / np.float32(DARK * typical_nucleus(profile, stain)), np.float32)


def colour_image(rgb: RGB, profile: StainProfile) -> NDArray[np.float32]:
    """(H, W, 3) float32, glass 1 and the darkest nuclei about 0: what version 4 was trained on."""
    return joint_image(rgb, profile, counterstain_od=0.0)


class CellposeSegmenter:
    """Registry entry of cellpose.

    The window, with the padding cellpose adds, is six of version 4's tiles wide: the largest that
    costs no seventh.
    """

    name = "cellpose"
    mpp = 0.5
    core_px = 1120
    halo_px = 72
    fixed_window = True
    licence = "code BSD-3-Clause; published weights were trained on data under CC BY-NC"
    needs_weights = True
    package = EXTRA.package
    supply = Supply(PUBLISHED, refuse=refuse_file)

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`."""
        return EXTRA.missing()

    def load(self, settings: CellSettings) -> CellposeEngine:
        """See `tme.cells.engines.Segmenter`."""
        EXTRA.require()
        path, sha256 = pinned_weights(settings, KNOWN_WEIGHTS, FETCH)
        return CellposeEngine(load_network(path, settings.device), settings, sha256)


SEGMENTERS.add("cellpose", CellposeSegmenter())
