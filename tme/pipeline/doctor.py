"""What this installation can do, in lines: versions, engines, codecs, GPU, cores, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from tme import __version__
from tme.cells.engines import SEGMENTERS
from tme.stains import STAINS

PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "opencv-python-headless", "scikit-image", "tifffile",
    "imagecodecs", "openslide-python", "openslide-bin", "zarr", "dask", "distributed", "snakemake",
    "bokeh", "pydantic",
)  # fmt: skip
MINIMUM_OPENSLIDE = (4, 0, 1)


def report() -> list[str]:
    """The whole report, one line a fact; a line that starts with ``!`` is a problem."""
    lines = [
        f"tme {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    ]
    lines += [f"  {name} {_version(name)}" for name in PACKAGES]
    lines += _openslide()
    lines += ["codecs: " + ", ".join(_codecs())]
    lines += engine_lines()
    lines += [f"stains: {', '.join(STAINS.names())}"]
    lines += [_gpu(), *_machine()]
    return lines


def engine_lines() -> list[str]:
    """One line an engine: what it works at, its licence, and whether it can run here."""
    lines = []
    for name, segmenter in SEGMENTERS.items():
        state = "ready" if not segmenter.missing() else segmenter.missing()
        weights = "needs weights" if segmenter.needs_weights else "nothing to fetch"
        lines.append(f"engine {name}: {segmenter.mpp} µm/px, {weights}, {segmenter.licence}; {state}")
    return lines


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _openslide() -> list[str]:
    import openslide

    found = str(openslide.__library_version__)
    numbers = tuple(int(part) for part in found.split(".")[:3])
    if numbers < MINIMUM_OPENSLIDE:
        return [
            f"! OpenSlide {found} is older than 4.0.1, which mends two ways to crash it with a crafted file"
        ]
    return [f"OpenSlide library {found}"]


def _codecs() -> list[str]:
    import imagecodecs

    wanted = ("JPEG8", "JPEG2K", "DEFLATE", "LZW", "ZSTD", "WEBP", "JPEGXL", "JPEGXR")
    return [f"{name} {'yes' if getattr(imagecodecs, name).available else 'no'}" for name in wanted]


def _gpu() -> str:
    if util.find_spec("torch") is None:
        return "GPU: PyTorch is not installed; the default engine does not need it"
    import torch

    return (
        f"GPU: {torch.cuda.get_device_name(0)}"
        if torch.cuda.is_available()
        else "GPU: none that PyTorch can use"
    )


def _machine() -> list[str]:
    memory = psutil.virtual_memory()
    free = shutil.disk_usage(Path.cwd()).free
    return [
        f"cores {os.cpu_count()}, memory {memory.total / 1e9:.1f} GB ({memory.available / 1e9:.1f} GB free)",
        f"disk free here {free / 1e9:.1f} GB",
    ]
