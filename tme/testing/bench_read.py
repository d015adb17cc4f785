"""How fast either backend reads a slide on this machine: ``python -m tme.testing.bench_read SLIDE``.

Rounds alternate between the backends in one process, so a busy machine slows both alike; quote the
ratio. Every round opens the file anew and reads level 0 once over, in boxes of whole tiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tme.geometry import Box, grid
from tme.slide.reader import TiledSlide
from tme.slide.source import BACKENDS

MAX_PIXELS = 100_000_000


def megapixels_per_second(path: Path, backend: str, threads: int, side: int, mpp: float | None) -> float:
    """One round: level 0 of ``path`` through one backend, at most 100 megapixels of it."""
    slide = TiledSlide(path, backend, BACKENDS.get(backend).open(path), mpp)
    tile = slide.source_tile(0)
    step = max(tile, side // tile * tile)
    boxes = list(grid(slide.info.width, slide.info.height, step))
    boxes = boxes[: max(1, MAX_PIXELS // step**2)]

    def read(box: Box) -> int:
        return slide.read(box.x0, box.y0, box.width, box.height, slide.info.mpp).size // 3

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        pixels = sum(pool.map(read, boxes))
    seconds = time.perf_counter() - began
    slide.close()
    return pixels / seconds / 1e6


def main() -> None:
    """Print the median of alternating rounds per backend and number of threads."""
    parser = argparse.ArgumentParser(description="Compare the reading speed of slide backends.")
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float, help="µm/px, for files that do not say")
    parser.add_argument("--side", type=int, default=1024, help="px; side of a box, cut to whole tiles")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backends", nargs="+", default=["tiff", "openslide"])
    chosen = parser.parse_args()
    for threads in (1, 2):
        rounds: dict[str, list[float]] = {name: [] for name in chosen.backends}
        for _ in range(chosen.rounds):
            for name, speeds in rounds.items():
                speeds.append(megapixels_per_second(chosen.slide, name, threads, chosen.side, chosen.mpp))
        medians = {name: statistics.median(speeds) for name, speeds in rounds.items()}
        line = ", ".join(f"{name} {speed:.0f} Mpx/s" for name, speed in medians.items())
        ratio = max(medians.values()) / min(medians.values())
        print(f"{threads} threads: {line} (ratio {ratio:.1f})")


if __name__ == "__main__":
    main()
