"""How much is lost with a threshold from other slides: fields with labelled positive and negative nuclei.

``python -m tme.testing.bench_threshold FOLDER [STAIN]``. The folder holds pairs ``x.jpg`` and ``x.npz`` with
``points`` (n, 2) px as x, y, ``positive`` (n,) and ``mpp`` (or ``mpp_nominal``). Each field is called with
its own cut, the mean cut of the others, and that with the others' haematoxylin; ADR 10 rests on this.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.config import StainSettings, TissueSettings
from tme.slide.open import open_slide
from tme.slide.types import RGB
from tme.stains import STAINS, StainProfile
from tme.stains.deconvolve import stain_od, stain_vectors
from tme.stains.estimate import estimate_profile
from tme.stains.types import Vector
from tme.tissue import find_tissue
from tme.units import um_to_px

SMOOTH_UM = 1.5


@dataclass(frozen=True, eq=False)
class Labelled:
    """A field with its profile and its labelled nuclei, ``points`` (n, 2) px as x, y."""

    name: str
    pixels: RGB
    mpp: float
    profile: StainProfile
    points: NDArray[np.int64]
    positive: NDArray[np.bool_]

    def right(self, vectors: tuple[Vector, Vector, Vector], cut: float) -> tuple[float, float]:
        """Share of nuclei called rightly, and by how much the share of positive ones is off."""
        profile = replace(self.profile, vectors=vectors)
        smooth = cv2.GaussianBlur(
            stain_od(self.pixels, profile)[..., 1], (0, 0), um_to_px(SMOOTH_UM, self.mpp)
        )
        x, y = self.points.T
        called = smooth[y, x] >= cut
        return float((called == self.positive).mean()), float(called.mean() - self.positive.mean())


def read_field(image: Path, stain: str) -> Labelled:
    """One labelled field with the profile tme estimates for it."""
    with np.load(image.with_suffix(".npz"), allow_pickle=False) as stored:
        mpp = float(stored["mpp"])
        mpp = mpp if np.isfinite(mpp) else float(stored["mpp_nominal"])
        points, positive = stored["points"].astype(np.int64), stored["positive"].astype(bool)
    slide = open_slide(image, mpp)
    pixels = slide.read(0, 0, slide.info.width, slide.info.height, slide.info.mpp)
    profile = estimate_profile(
        slide, find_tissue(slide, TissueSettings()), STAINS.get(stain), StainSettings()
    )
    slide.close()
    inside = np.clip(points, 0, np.array(pixels.shape[1::-1]) - 1)
    return Labelled(image.stem, pixels, mpp, profile, inside, positive)


def compare(fields: list[Labelled]) -> NDArray[np.float64]:
    """(n, 3, 2): each field's share right and error of its positive share, with its own cut, the mean of the
    others', and that with the others' haematoxylin."""
    rows = []
    for field in fields:
        others = [other.profile for other in fields if other is not field]
        cut = float(np.mean([other.dab_threshold_od for other in others]))
        blue = np.median([other.vectors[0] for other in others], axis=0)
        own = field.profile.vectors
        frozen = stain_vectors((float(blue[0]), float(blue[1]), float(blue[2])), own[1])
        own_cut = field.profile.dab_threshold_od or np.inf
        rows.append([field.right(own, own_cut), field.right(own, cut), field.right(frozen, cut)])
    return np.array(rows)


def main() -> None:
    """Print a line a field, then the means and the SD of the fields' cuts."""
    folder, stain = Path(sys.argv[1]), (sys.argv[2:] or ["KI67"])[0]
    fields = [read_field(path, stain) for path in sorted(folder.glob("*.jpg"))]
    found = compare(fields)
    print("field: own cut (interval); right with own cut, frozen cut, frozen cut and haematoxylin")
    for field, row in zip(fields, found, strict=True):
        profile = field.profile
        interval = f"{profile.threshold_low_od} to {profile.threshold_high_od}"
        shares = ", ".join(f"{right:.3f}" for right, _ in row)
        print(f"{field.name}: {profile.dab_threshold_od} ({interval}); {shares}")
    right, off = found[:, :, 0].mean(axis=0), 100 * np.abs(found[:, :, 1]).mean(axis=0)
    print("mean right: " + ", ".join(f"{value:.3f}" for value in right))
    print("mean error of the positive share, points: " + ", ".join(f"{value:.1f}" for value in off))
    cuts = np.array([field.profile.dab_threshold_od for field in fields], np.float64)
    print(f"SD of the fields' cuts: {cuts.std(ddof=1):.4f} OD")


if __name__ == "__main__":
    main()
