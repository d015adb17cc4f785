"""What must not change what is counted: turning, mirroring and shifting a field, and its resolution.

    python -m training.invariance DATA DESCRIPTION

DATA as for `training.make`; the held fields, or every one. DESCRIPTION is the JSON beside weights that never
saw them (WORK/judged of `training.publish`), which run on fields at the working resolution, read as tme reads
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tme.cells.engines._description import Precision, read_description, weights_file
from tme.cells.engines._runtime import open_network
from tme.cells.engines._views import viewed
from tme.cells.engines.tmenet import answer
from tme.cells.instances import Instances, decode
from tme.learn.augment import plain_crop
from tme.learn.compare import Reader
from tme.learn.field import Field
from tme.learn.network import WORK_MPP
from tme.learn.score import Answered, centres_of, lymphocytes, pair, without_specks
from tme.slide.types import RGB
from tme.testing.memory import ArraySlide
from training import sets

Count = Callable[[RGB], Instances]
SAME_UM = 1.5
BORDER_PX = 64
SHIFTS = ((1, 0), (0, 3), (5, 5), (8, 0), (11, 7), (15, 15), (16, 0), (32, 16))
RESOLUTIONS = (0.25, 0.35, 0.5)
TURNS: dict[str, tuple[int, bool]] = {
    "as it is": (0, False),
    "turned 90°": (1, False),
    "turned 180°": (2, False),
    "mirrored": (0, True),
    "mirrored and turned 90°": (1, True),
}


def opened(path: Path, precision: Precision, views: int) -> tuple[Count, Reader]:
    """A network and how it is read, from its description."""
    description = read_description(path)
    reader = Reader(description.reading.decoding(), description.calibration)
    network = viewed(open_network(weights_file(description, path.parent, precision)[0], "cpu")[0], views)

    def count(rgb: RGB) -> Instances:
        return without_specks(decode(answer(network, rgb), reader.rule), reader.rule.least_um2)

    return count, reader


def turned(fields: Sequence[Field], count: Count, reader: Reader) -> Iterator[str]:
    """F1 of lymphocytes on fields that were turned and mirrored."""
    for name, (quarters, mirrored) in TURNS.items():
        matched = []
        for field in fields:
            crop = plain_crop(field)
            rgb = np.rot90(crop.rgb[:, ::-1] if mirrored else crop.rgb, quarters)
            found = count(np.ascontiguousarray(rgb))
            back = np.rot90(found.labels, -quarters)
            labels = np.ascontiguousarray(back[:, ::-1] if mirrored else back)
            seen = Answered(field, crop, np.zeros((5, *labels.shape), np.float32))
            matched.append(pair(seen, replace(found, labels=labels)))
        yield f"{name}: F1 til {lymphocytes(matched, reader.calibration.score)['f1_til']:.3f}"


def shifted(fields: Sequence[Field], count: Count) -> Iterator[str]:
    """Share of nuclei, away from the border, that are found again when the field is shifted."""
    whole = [plain_crop(field).rgb for field in fields]
    before = [centres_of(count(rgb)) for rgb in whole]
    for right, down in SHIFTS:
        same = total = 0
        for rgb, centres in zip(whole, before, strict=True):
            after = centres_of(count(np.ascontiguousarray(rgb[down:, right:]))) + np.array((right, down))
            for one, other in ((centres, after), (after, centres)):
                inner = one[_away_from_border(one, rgb.shape, (right, down))]
                same += int((cKDTree(other).query(inner)[0] <= SAME_UM / WORK_MPP).sum())
                total += len(inner)
        yield f"shifted by {right}, {down} px: {100 * same / total:.2f} % of nuclei the same"


def _away_from_border(
    centres: NDArray[np.float64], shape: tuple[int, ...], shift: tuple[int, int]
) -> NDArray[np.bool_]:
    high = np.array([shape[1], shape[0]]) - BORDER_PX
    return ((centres > np.array(shift) + BORDER_PX) & (centres < high)).all(1)


def at_resolutions(fields: Sequence[Field], count: Count) -> Iterator[str]:
    """Nuclei of the same fields had they been scanned coarser."""
    numbers = []
    for mpp in RESOLUTIONS:
        total = 0
        for field in fields:
            fine = ArraySlide(field.rgb, field.mpp)
            seen = ArraySlide(fine.read(0, 0, *fine.info.size_at(mpp), mpp), mpp)
            total += len(count(seen.read(0, 0, *seen.info.size_at(WORK_MPP), WORK_MPP)).peak)
        numbers.append(total)
        yield f"scanned at {mpp} µm/px: {total} nuclei, {100 * (total / numbers[0] - 1):+.1f} %"


def main() -> None:
    """Parse, count, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("description", type=Path)
    parser.add_argument("--precision", default="int8", choices=["int8", "fp32"])
    parser.add_argument("--views", type=int, default=1, choices=[1, 2, 4, 8])
    parser.add_argument("--every", action="store_true", help="fields learned from too")
    chosen = parser.parse_args()
    count, reader = opened(chosen.description, chosen.precision, chosen.views)
    split = sets.load(chosen.data)
    asked = [*split.held, *(split.train if chosen.every else ())]
    held = dict(sets.by_set(asked))
    for name in ("crchistophenotypes", "monusac"):
        print(f"{name}, {len(held[name])} fields")
        print("\n".join(turned(held[name], count, reader)))
    fine = [field for field in held["monuseg"] if field.mpp < RESOLUTIONS[1]]
    print(f"monuseg, {len(fine)} fields")
    print("\n".join([*shifted(fine, count), *at_resolutions(fine, count)]))


if __name__ == "__main__":
    main()
