"""Size and shape of one filled outline.

In: an (H, W) bool mask of one connected object. Out: measures in pixels. The outline runs along
pixel edges; areas are pixel counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from skimage.measure import find_contours

Bits = NDArray[np.bool_]
Points = NDArray[np.float64]

SIMPLIFY_PX = 0.25


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
    hull = convex_hull(mask)
    min_feret, max_feret = ferets(hull)
    return Shape(
        area=int(area),
        x=moments["m10"] / area + 0.5,
        y=moments["m01"] / area + 0.5,
        perimeter=crofton_perimeter(mask),
        min_feret=min_feret,
        max_feret=max_feret,
        eccentricity=_eccentricity(moments),
        solidity=min(1.0, area / _polygon_area(hull)),
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


def convex_hull(mask: Bits) -> Points:
    """Corners of the convex hull of the object's pixels (their edges, not their centres); (n, 2) x, y."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rim = np.concatenate([contour.reshape(-1, 2) for contour in contours])
    corners = (rim[:, None, :] + np.array([[0, 0], [1, 0], [0, 1], [1, 1]])).reshape(-1, 2)
    return np.asarray(cv2.convexHull(corners.astype(np.int32)).reshape(-1, 2), np.float64)


def filled_hull(mask: Bits) -> Bits:
    """(H, W) bool: pixels inside the convex hull of the object's pixel centres."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(contours)), 1)
    return hull.view(bool)


def ferets(hull: Points) -> tuple[float, float]:
    """Least and greatest calliper width of a convex polygon: rotating callipers over its edges."""
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)[lengths > 0] / lengths[lengths > 0, None]
    along = hull @ normals.T
    least = float((along.max(axis=0) - along.min(axis=0)).min())
    apart = hull[:, None, :] - hull[None, :, :]
    return least, float(np.sqrt((apart**2).sum(axis=2).max()))


def outline_polygon(mask: Bits) -> BaseGeometry:
    """The object's outline through the middles of its pixels' edges, holes as interior rings.

    In pixels from the mask's top-left corner, simplified by at most a quarter of a pixel.
    """
    trace: Callable[..., list[Points]] = find_contours
    rings = trace(mask.view(np.uint8), 0.5, fully_connected="high")
    # find_contours gives (row, column) of pixel centres; a centre lies at +0.5.
    rings = [ring[:, ::-1] + 0.5 for ring in rings if len(ring) >= 4]
    sizes = [_polygon_area(ring) for ring in rings]
    outer = int(np.argmax(sizes))
    holes = [ring for index, ring in enumerate(rings) if index != outer]
    polygon = shapely.Polygon(rings[outer], holes)
    return shapely.simplify(polygon, SIMPLIFY_PX, preserve_topology=True)


def _polygon_area(points: Points) -> float:
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _eccentricity(moments: dict[str, float]) -> float:
    area = moments["m00"]
    # A pixel is a square, not a point: its own second moment is 1/12.
    xx = moments["mu20"] / area + 1 / 12
    yy = moments["mu02"] / area + 1 / 12
    xy = moments["mu11"] / area
    root = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    major, minor = (xx + yy + root) / 2, (xx + yy - root) / 2
    return float(np.sqrt(max(0.0, 1 - minor / major)))
