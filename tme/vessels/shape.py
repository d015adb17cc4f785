"""Size and shape of one filled outline.

In: an (H, W) bool mask of one connected object. Out: measures in pixels. The outline runs along
pixel edges; areas are pixel counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Bits = NDArray[np.bool_]
Points = NDArray[np.float64]

SIMPLIFY_PX = 0.25
_CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
_EDGES = np.array([[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5]])
"""Points of a pixel: its corners, and the middles of its edges."""


@dataclass(frozen=True)
class Shape:
    """Measures in pixels; x, y of the centroid from the mask's top-left corner."""

    area: int
    x: float
    y: float
    perimeter: float
    min_feret: float
    max_feret: float
    eccentricity: float
    solidity: float


def measure_shape(mask: Bits) -> Shape:
    """Measures of one object; ``mask`` has an empty margin of at least one pixel."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    hull = convex_hull(mask, _CORNERS)
    # Corners stick out of a slanting outline, by up to 0.7 px on either side; the middles of edges do not.
    min_feret, max_feret = ferets(convex_hull(mask, _EDGES))
    return Shape(
        area=int(area),
        x=moments["m10"] / area + 0.5,
        y=moments["m01"] / area + 0.5,
        perimeter=crofton_perimeter(mask),
        min_feret=min_feret,
        max_feret=max_feret,
        eccentricity=_eccentricity(moments),
        solidity=min(1.0, area / cv2.contourArea(hull.astype(np.float32))),
    )


def crofton_perimeter(mask: Bits) -> float:
    """Perimeter by Crofton's formula from crossings of four families of parallel lines, px.

    Lines along rows and columns are 1 px apart, diagonals 1/sqrt(2); the mean over directions of
    crossings x spacing is 2/pi of the perimeter. ``mask`` has an empty margin.
    """
    rows = np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    columns = np.count_nonzero(mask[1:] != mask[:-1])
    falling = np.count_nonzero(mask[1:, 1:] != mask[:-1, :-1])
    rising = np.count_nonzero(mask[1:, :-1] != mask[:-1, 1:])
    return float(np.pi / 8 * (rows + columns + (falling + rising) / np.sqrt(2)))


def convex_hull(mask: Bits, points: Points) -> Points:
    """Corners (n, 2), x and y, of the convex hull of these points of each of the object's pixels."""
    rim = np.concatenate(_contours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE))
    around = (rim[:, None, :] + points).reshape(-1, 1, 2)
    return np.asarray(cv2.convexHull(around.astype(np.float32)).reshape(-1, 2), np.float64)


def filled_hull(mask: Bits) -> Bits:
    """(H, W) bool: pixels inside the convex hull of the object's pixel centres."""
    rim = np.concatenate(_contours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE))
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(rim), (1,))
    return hull.view(bool)


def ferets(hull: Points) -> tuple[float, float]:
    """Least and greatest calliper width of a convex polygon: rotating callipers over its edges."""
    edges = hull[np.arange(len(hull)) - 1] - hull
    normals = np.stack([-edges[:, 1], edges[:, 0]]) / np.hypot(edges[:, 0], edges[:, 1])
    along = hull @ normals
    least = float((along.max(axis=0) - along.min(axis=0)).min())
    apart = hull[:, None, :] - hull[None, :, :]
    return least, float(np.sqrt((apart**2).sum(axis=2).max()))


def outline_polygon(mask: Bits) -> BaseGeometry:
    """The object's outline through the middles of its pixels' edges, holes as interior rings.

    In pixels from the mask's top-left corner, simplified by at most a quarter of a pixel.
    """
    height, width = mask.shape
    # Twice as fine, a pixel's edges included: contours of this image run along the pixels' edges,
    # and its points with one odd coordinate are the middles of edges.
    fine = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    fine[1::2, 1::2] = mask
    fine = np.asarray(cv2.dilate(fine, np.ones((3, 3), np.uint8)), np.uint8)
    rings = []
    for contour in _contours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE):
        middles = contour[(contour.sum(axis=1) & 1) == 1]
        ring = cv2.approxPolyDP(middles.reshape(-1, 1, 2), 2 * SIMPLIFY_PX, True).reshape(-1, 2)
        rings.append(ring if len(ring) >= 3 else middles)
    sizes = [cv2.contourArea(ring) for ring in rings]
    outer = int(np.argmax(sizes))
    holes = [ring / 2.0 for index, ring in enumerate(rings) if index != outer and len(ring) >= 3]
    return shapely.Polygon(rings[outer] / 2.0, holes)


def _contours(image: NDArray[np.uint8], mode: int, method: int) -> list[NDArray[np.int32]]:
    found, _ = cv2.findContours(image, mode, method)
    return [np.asarray(contour, np.int32).reshape(-1, 2) for contour in found]


def _eccentricity(moments: dict[str, float]) -> float:
    area = moments["m00"]
    # A pixel is a square, not a point: its own second moment is 1/12.
    xx = moments["mu20"] / area + 1 / 12
    yy = moments["mu02"] / area + 1 / 12
    xy = moments["mu11"] / area
    root = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    major, minor = (xx + yy + root) / 2, (xx + yy - root) / 2
    return float(np.sqrt(max(0.0, 1 - minor / major)))
