"""What a large slide costs: seconds and Mpx/s by stage, and the peak memory of the process.

``python -m tme.testing.bench_slide --stain CD8 --side 40000`` makes a pyramidal JPEG slide of that side by
repeating a rendered piece of tissue, runs every stage of one slide's job on it and prints a table.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

from tme.config import Config
from tme.pipeline.batch_job import run_batch
from tme.pipeline.inputs import load_run_cohort
from tme.slide.open import open_slide
from tme.slide.types import RGB
from tme.store import read_json, write_text
from tme.testing.render import SlideSpec, render_slide

TILE_PX = 512
PATCH_PX = 3072
RENDERED_MPP = 0.5


def repeated_piece(stain: str, seed: int) -> RGB:
    """A (3072, 3072, 3) uint8 piece of tissue at 0.5 µm/px that repeats without a seam."""
    made = render_slide(
        SlideSpec(stain, area_mm2=6.0, til_density_per_mm2=300, mvd_per_mm2=80, cores=1), seed
    )
    height, width = made.pixels.shape[:2]
    side = min(height, width, PATCH_PX // 2)
    top, left = (height - side) // 2, (width - side) // 2
    quarter = made.pixels[top : top + side, left : left + side]
    # Mirrored twice, so that edges meet themselves.
    half = np.hstack([quarter, quarter[:, ::-1]])
    return np.ascontiguousarray(np.vstack([half, half[::-1]]))


def write_big_slide(path: Path, piece: RGB, side_px: int, mpp: float) -> None:
    """A pyramid of ``side_px`` x ``side_px`` px at ``mpp`` µm/px, levels a factor of four apart."""
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for step in (1, 4, 16, 64):
            scale = RENDERED_MPP / (mpp * step)
            size = max(16, round(piece.shape[1] * scale))
            mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            level = cv2.resize(piece, (size, size), interpolation=mode)
            side = max(1, side_px // step)
            tiff.write(
                _tiles(level, side), shape=(side, side, 3), dtype=np.uint8, tile=(TILE_PX, TILE_PX),
                photometric="rgb", compression="jpeg", compressionargs={"level": 85}, metadata=None,
                resolution=(1e4 / (mpp * step), 1e4 / (mpp * step)), resolutionunit="CENTIMETER",
                subfiletype=int(step > 1),
            )  # fmt: skip


def _tiles(piece: RGB, side: int) -> Iterator[RGB]:
    size = piece.shape[0]
    doubled = np.tile(piece, (2 + TILE_PX // size, 2 + TILE_PX // size, 1))
    for y in range(0, side, TILE_PX):
        for x in range(0, side, TILE_PX):
            yield np.ascontiguousarray(doubled[y % size :, x % size :][:TILE_PX, :TILE_PX])


def reading_seconds(path: Path, mpp: float) -> float:
    """Seconds to read the whole slide once at ``mpp`` µm/px in 1024 px boxes, one thread."""
    slide = open_slide(path)
    width, height = slide.info.size_at(mpp)
    started = time.perf_counter()
    for y in range(0, height, 1024):
        for x in range(0, width, 1024):
            slide.read(x, y, 1024, 1024, mpp)
    slide.close()
    return time.perf_counter() - started


def main() -> int:
    """Make the slide, read it, run its job, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tme.testing.bench_slide", description=__doc__)
    parser.add_argument("--stain", default="CD8", choices=["HE", "CD8", "CD31"])
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--mpp", type=float, default=0.25)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    # The stages log their seconds.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "big.tif"
        write_big_slide(path, repeated_piece(given.stain, 1), given.side, given.mpp)
        write_text(
            folder / "c.csv", f"patient_id,timepoint,stain,slide\nbig,baseline,{given.stain},big.tif\n"
        )
        reading = reading_seconds(path, RENDERED_MPP)
        config = Config.model_validate({"run": {"workers": given.workers}})
        cohort = load_run_cohort(folder / "c.csv", config, by_content=False)
        started = time.perf_counter()
        run_batch(cohort, config, folder / "results", [cohort.slides[0].slide_id])
        seconds = time.perf_counter() - started
        outcome = read_json(folder / "results" / "slides" / cohort.slides[0].slide_id / "outcome.json")
        _print(given, path.stat().st_size, reading, seconds, outcome["status"])
    return 0


def _print(given: argparse.Namespace, size: int, reading: float, seconds: float, status: str) -> None:
    mpx = given.side**2 / 1e6
    area = (given.side * given.mpp / 1000) ** 2
    # Kilobytes on Linux, bytes on macOS.
    unit = 1024 if sys.platform.startswith("linux") else 1
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    side = given.side
    print(f"{given.stain}, {side} x {side} px at {given.mpp} µm/px, {area:.0f} mm², {size / 1e6:.0f} MB")
    print(f"reading alone at {RENDERED_MPP} µm/px: {reading:.1f} s, {mpx / reading:.0f} Mpx/s of level 0")
    print(f"whole job, {given.workers} workers: {seconds:.1f} s, {seconds / area:.2f} s/mm², {status}")
    print(f"peak memory of the slide's process: {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    raise SystemExit(main())
