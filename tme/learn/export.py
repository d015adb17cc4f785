"""Trained weights -> ONNX files: what the engine runs.

The file takes the window as it is read, (1, H, W, 3) uint8, and answers (1, 5, H, W) float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tme.learn.augment import plain_crop
from tme.learn.field import Field
from tme.learn.network import STRIDE, NucleusNet

OPSET = 17
WINDOW = 512


class _AsRead(nn.Module):
    """The network behind the conversion of a window as it is read."""

    def __init__(self, network: NucleusNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, window: Any) -> Any:
        return self.network(window.permute(0, 3, 1, 2).float())


def export_fp32(network: NucleusNet, path: Path) -> None:
    """Write the network as ONNX of any height and width that are multiples of the stride."""
    example = torch.zeros((1, 4 * STRIDE, 6 * STRIDE, 3), dtype=torch.uint8)
    free = {"window": {1: "height", 2: "width"}, "answer": {2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _AsRead(network.eval().to(memory_format=torch.contiguous_format)),
            (example,),
            str(path),
            input_names=["window"],
            output_names=["answer"],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )


def calibration_windows(fields: Sequence[Field]) -> list[NDArray[np.uint8]]:
    """A window of each field at the working resolution, `WINDOW` px wide at most, for `export_int8`."""
    out: list[NDArray[np.uint8]] = []
    for number, field in enumerate(fields):
        rgb = plain_crop(field).rgb
        rng = np.random.default_rng(number)
        top, left = (
            int(rng.integers(max(side - WINDOW, 0) // STRIDE + 1)) * STRIDE for side in rgb.shape[:2]
        )
        out.append(np.ascontiguousarray(rgb[top : top + WINDOW, left : left + WINDOW]))
    return out


def export_int8(fp32: Path, path: Path, windows: Iterable[NDArray[np.uint8]]) -> None:
    """Quantise an ONNX file to 8 bits after training (NNCF), calibrated on (H, W, 3) uint8 windows.

    The last convolution, whose answers are read as they are, stays fp32, and biases are corrected layer by
    layer: the quick way of both costs .015 of F1 of lymphocytes and saves no time when the file runs. So do
    the grown maps of the way up: going to 8 bits and back before each sum costs a tenth of the time.
    """
    import nncf
    import onnx

    model = onnx.load(str(fp32))
    last = [node.name for node in model.graph.node if node.op_type == "Conv"][-1]
    samples = [{"window": window[None]} for window in windows]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(samples),
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=[last], types=["Resize"]),
        fast_bias_correction=False,
    )
    onnx.save(quantised, str(path))
