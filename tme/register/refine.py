"""A guess made better: enhanced correlation on coarse pictures, then a fit to patches on fine ones.

Correlation has the wide reach and picks among the guesses (Evangelidis and Psarakis 2008, IEEE Trans
Pattern Anal Mach Intell 30:1858). Patches say where each part of the section lies; the rigid fit to most
of them (Fischler and Bolles 1981, Commun ACM 24:381) is not pulled away by a part that was torn off.
"""

from __future__ import annotations

import warnings

import cv2
import numpy as np
from skimage.measure import ransac
from skimage.transform import EuclideanTransform

from tme.register.check import found_patches
from tme.register.detail import LEAST_OVERLAP, detail, shrunk, turned
from tme.register.types import Floats, Matrix, Patch, Registration, SectionMap

LADDER_MPP = (64.0, 32.0)
FITS = ((16.0, 240.0), (8.0, 120.0))
"""µm/px and reach in µm of each round of fitting."""
STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
GAUSS_PX = 5
MIN_FIT = 3
INLIER_UM = 30.0
TRIALS = 300
SEED = 0


def refined(fixed: SectionMap, moving: SectionMap, guesses: list[Registration]) -> Registration | None:
    """The best of the guesses, made better; None where none leads anywhere."""
    scored = [(guess, 0.0) for guess in guesses]
    for mpp in LADDER_MPP:
        target, picture = shrunk(fixed, mpp), shrunk(moving, mpp)
        details = detail(target), detail(picture)
        found = [_climbed(target, picture, details, guess) for guess, _ in scored]
        scored = [one for one in found if one is not None]
    if not scored:
        return None
    best, _ = max(scored, key=lambda one: one[1])
    for mpp, reach_um in FITS:
        target, picture = shrunk(fixed, mpp), shrunk(moving, mpp)
        best = _fitted(best, found_patches(target, picture, best, reach_um)[0])
    return best


def _climbed(
    fixed: SectionMap, moving: SectionMap, details: tuple[Floats, Floats], guess: Registration
) -> tuple[Registration, float] | None:
    """The guess after enhanced correlation, and the correlation; None where it does not converge."""
    matrix, shape = guess.matrix(fixed.mpp, moving.mpp), fixed.usable.shape
    # OpenCV's angle is an arc sine: only a picture that is nearly upright can be turned the rest of the way.
    mask = (turned(moving.usable, matrix, shape) >= 0.5).astype(np.uint8)
    upright = turned(details[1], matrix, shape)
    still = np.eye(2, 3, dtype=np.float32)
    try:
        _, rest = cv2.findTransformECC(details[0], upright, still, cv2.MOTION_EUCLIDEAN, STOP, mask, GAUSS_PX)
    except cv2.error:
        return None
    whole = matrix @ np.vstack([rest.astype(np.float64), [0, 0, 1]])
    better = Registration.from_matrix(whole, fixed.mpp)
    scored = [(one, correlation(fixed, moving, details, one)) for one in (guess, better)]
    return max(
        ((one, score) for one, score in scored if score is not None), key=lambda one: one[1], default=None
    )


def correlation(
    fixed: SectionMap, moving: SectionMap, details: tuple[Floats, Floats], lies: Registration
) -> float | None:
    """Correlation where both sections have tissue; None where that is too little."""
    matrix, shape = lies.matrix(fixed.mpp, moving.mpp), fixed.usable.shape
    there = (turned(moving.usable, matrix, shape) >= 0.5) & fixed.usable
    least = LEAST_OVERLAP * min(np.count_nonzero(fixed.usable), np.count_nonzero(moving.usable))
    if np.count_nonzero(there) < max(least, 3):
        return None
    one, other = details[0][there], turned(details[1], matrix, shape)[there]
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else None


def _fitted(guess: Registration, patches: list[Patch]) -> Registration:
    """The rigid motion most patches agree on; the guess where too few were found."""
    if len(patches) < MIN_FIT:
        return guess
    here = np.array([[patch.x_um, patch.y_um] for patch in patches])
    # Where each was found, as a place of the moving section.
    seen = here + [[patch.right_um, patch.down_um] for patch in patches]
    matrix: Matrix = guess.matrix(1.0, 1.0)
    there = seen @ matrix[:, :2].T + [guess.right_um, guess.down_um]
    with warnings.catch_warnings():
        # Without patches that agree there is no model, which is an answer and no news for a user.
        warnings.simplefilter("ignore", UserWarning)
        model, _ = ransac(
            (here, there),
            EuclideanTransform,
            min_samples=MIN_FIT,
            residual_threshold=INLIER_UM,
            max_trials=TRIALS,
            rng=SEED,
        )
    # No model, or one scikit-image says could not be estimated, which is false.
    if not model:
        return guess
    right_um, down_um = (float(value) for value in model.translation)
    return Registration(float(np.degrees(model.rotation)), right_um, down_um)
