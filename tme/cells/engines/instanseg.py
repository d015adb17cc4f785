"""InstanSeg's network for nuclei in brightfield images; an optional extra, never the default.

In: RGB and the slide's stain profile. Out: labelled nuclei. The package's own per-image percentiles
are switched off: every window of a slide is scaled by the slide's own levels. Weights are a pinned
TorchScript file; see `tme.cells.engines._instanseg_network` for what that means.
"""

from __future__ import annotations

import numpy as np

from tme.cells.engines import SEGMENTERS
from tme.cells.engines._instanseg_network import Network, load_network, refuse_file
from tme.cells.engines._levels import CHANNEL_COUNTERSTAIN_OD, channel_image
from tme.cells.engines._optional import Extra
from tme.cells.engines._supply import Published, Supply, known
from tme.cells.engines._torch import out_of_gpu_memory
from tme.cells.engines._weights import pinned_weights
from tme.cells.nuclei import of_right_size
from tme.cells.types import Detections
from tme.config import CellSettings
from tme.slide.types import RGB
from tme.stains.types import StainProfile

EXTRA = Extra("instanseg", "instanseg-torch", (0, 1), (0, 2), "torch")
# No sha256: the authors publish none, and a file that holds code must not be trusted by its name.
PUBLISHED = (
    Published(
        "brightfield_nuclei.pt",
        "https://github.com/instanseg/instanseg/releases/download/instanseg_models_v0.1.1/"
        "brightfield_nuclei.zip",
        purpose="nuclei in brightfield images; holds a program",
        member="instanseg.pt",
    ),
)
KNOWN_WEIGHTS = known(PUBLISHED)
FETCH = (
    "run `tme models fetch instanseg --sha256 HEX` where there is a network "
    f"(it gets {PUBLISHED[0].url} and takes the instanseg.pt out of it)"
)


class InstansegEngine:
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
        image = channel_image(rgb, profile, CHANNEL_COUNTERSTAIN_OD).transpose(2, 0, 1)
        try:
            found = self.network.model.eval_small_image(
                self.network.tensor(np.ascontiguousarray(image)),
                pixel_size=mpp,
                normalise=False,
                return_image_tensor=False,
                target="nuclei",
            )
        except self.network.out_of_memory as error:
            raise out_of_gpu_memory(error) from error
        labels = found[0, 0].cpu().numpy().astype(np.int32)
        return Detections(of_right_size(labels, self.settings, mpp))


class InstansegSegmenter:
    """Registry entry of InstanSeg.

    The network sees 92 px around a pixel. The window with its halo is a multiple of its stride of 32.
    """

    name = "instanseg"
    mpp = 0.5
    core_px = 1088
    halo_px = 96
    fixed_window = True
    licence = "code and published weights Apache-2.0; trained on data under CC BY 4.0 and Apache-2.0"
    needs_weights = True
    package = EXTRA.package
    supply = Supply(PUBLISHED, refuse=refuse_file)

    def missing(self) -> str:
        """See `tme.cells.engines.Segmenter`."""
        return EXTRA.missing()

    def load(self, settings: CellSettings) -> InstansegEngine:
        """See `tme.cells.engines.Segmenter`."""
        EXTRA.require()
        path, sha256 = pinned_weights(settings, KNOWN_WEIGHTS, FETCH)
        return InstansegEngine(load_network(path, settings.device), settings, sha256)


SEGMENTERS.add("instanseg", InstansegSegmenter())
