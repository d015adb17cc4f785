"""Small fields of drawn nuclei with their labels, and the files a user would have of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.learn.field import Field, from_masks

MPP = 0.5
BLUE = ((70, 50, 130), (150, 120, 190), (235, 205, 222))
GREEN = ((40, 110, 60), (110, 170, 110), (232, 228, 190))
"""Colours of lymphocytes, of other nuclei and of the ground."""


@dataclass(frozen=True, eq=False)
class Scene:
    """``rgb`` (S, S, 3) uint8, ``labels`` (S, S) int32, ``kinds`` (n,) 1 lymphocyte, 0 other."""

    rgb: NDArray[np.uint8]
    labels: NDArray[np.int32]
    kinds: NDArray[np.float32]

    def field(self, name: str = "scene", classes: bool = True, complete: bool = True) -> Field:
        """As a field; `name` is its patient too."""
        kinds = self.kinds if classes else None
        return from_masks(name, "own", name, self.rgb, MPP, self.labels, kinds, complete)


def draw_scene(seed: int, side: int = 192, look: tuple[Any, ...] = BLUE) -> Scene:
    """Round dark lymphocytes and larger pale ellipses that do not touch, on speckled ground."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    rgb = np.full((side, side, 3), look[2], np.float32)
    kinds: list[float] = []
    for _ in range(side * side // 350):
        small = rng.random() < 0.5
        axes = (6, 6) if small else (int(rng.integers(8, 11)), int(rng.integers(6, 8)))
        centre = tuple(int(v) for v in rng.integers(12, side - 12, 2))
        stamp = np.zeros((side, side), np.uint8)
        cv2.ellipse(stamp, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        if labels[cv2.dilate(stamp, np.ones((5, 5), np.uint8)) > 0].any():
            continue
        kinds.append(float(small))
        labels[stamp > 0] = len(kinds)
        rgb[stamp > 0] = look[0 if small else 1]
    rgb = cv2.GaussianBlur(rgb, (0, 0), 0.8) + rng.normal(0, 4, rgb.shape)
    return Scene(np.clip(rgb, 0, 255).astype(np.uint8), labels, np.array(kinds, np.float32))


def write_image(folder: Path, name: str, scene: Scene) -> None:
    """``name`` as PNG, which does not say its µm/px."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), scene.rgb[..., ::-1])


def write_mask(folder: Path, stem: str, scene: Scene) -> None:
    """``stem``.png with a 16-bit label mask and a table of classes."""
    write_image(folder, f"{stem}.png", scene)
    cv2.imwrite(str(folder / f"{stem}_mask.png"), scene.labels.astype(np.uint16))
    names = ["Lymphocyte" if kind else "Tumour cell" for kind in scene.kinds]
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names, 1))
    (folder / f"{stem}_classes.csv").write_text("label,class\n" + rows)


def write_geojson(folder: Path, stem: str, scene: Scene, *more: dict[str, Any]) -> None:
    """``stem``.png with QuPath's outlines of its nuclei, and further features."""
    write_image(folder, f"{stem}.png", scene)
    features = [
        outline(ring_of(scene.labels == number), "Immune cells" if kind else "Tumor", "detection")
        for number, kind in enumerate(scene.kinds, 1)
    ]
    document = {"type": "FeatureCollection", "features": [*features, *more]}
    (folder / f"{stem}.geojson").write_text(json.dumps(document))


def ring_of(mask: NDArray[np.bool_]) -> list[list[float]]:
    """The closed outline of a mask along its pixels' edges; a pixel's corner is at whole numbers."""
    fine = cv2.resize(mask.astype(np.uint8), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    contour = max(cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)[:, 0]
    points = (contour / 4 + 0.125).tolist()
    return [*points, points[0]]


def box_ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """The closed outline of a box."""
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def outline(ring: list[list[float]], name: str | None, kind: str = "annotation") -> dict[str, Any]:
    """A polygon as QuPath writes it."""
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [1, 2, 3]}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }
