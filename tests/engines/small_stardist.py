"""StarDist networks made by a test: the package's own class, its own training, saved as it publishes."""

from __future__ import annotations

import json
import warnings
import zipfile
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = {"prob": 0.5, "nms": 0.4}


def network(**settings: Any) -> Any:
    """A ``StarDist2D`` for RGB images that is kept off the disk; seeded."""
    models = import_module("stardist.models")
    import_module("keras").utils.set_random_seed(0)
    options = {"axes": "YXC", "n_channel_in": 3, "grid": (2, 2), **settings}
    with redirect_stdout(StringIO()):
        return models.StarDist2D(models.Config2D(**options), name="made", basedir=None)


def small(**settings: Any) -> Any:
    """A network of few channels, untrained."""
    shape = {"n_rays": 16, "unet_n_depth": 2, "unet_n_filter_base": 8, "net_conv_after_unet": 32}
    return network(**shape, unet_batch_norm=True, **settings)


def trained(image: NDArray[np.float32], truth: NDArray[np.int32], steps: int) -> Any:
    """A small network that finds the nuclei of such an image.

    Parameters
    ----------
    image : (H, W, 3) float32
    truth : (H, W) int32
    steps : int
    """
    model = small(
        train_patch_size=(128, 128), train_batch_size=2, train_learning_rate=3e-3, train_reduce_lr=None
    )
    for layer in model.keras_model.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.6  # few steps: the running means must keep up
    check = ([image[:128, :128]], [truth[:128, :128]])
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train([image], [truth], validation_data=check, epochs=1, steps_per_epoch=steps)
    return model


def files_of(model: Any, folder: Path) -> dict[str, bytes]:
    """The three files StarDist publishes of a network, by name."""
    weights = folder / "weights_best.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.keras_model.save_weights(str(weights))
    return {
        "config.json": json.dumps(vars(model.config)).encode(),
        "thresholds.json": json.dumps(THRESHOLDS).encode(),
        "weights_best.h5": weights.read_bytes(),
    }


def packed(files: dict[str, bytes], path: Path, folder: str = "") -> Path:
    """A zip archive of files, at its root or in one folder."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return path
