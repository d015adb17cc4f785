"""Vessels of a synthetic slide: shapes, placing, painting."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from tme.testing.render_ground import Canvas
from tme.testing.render_noise import Field, ramp
from tme.testing.render_place import Occupancy, Points, even_points, fibre_angle
from tme.testing.render_spec import MPP, PX, Look
from tme.testing.render_stamp import Texture
from tme.testing.render_tissue import Plan
from tme.units import px_to_um

KINDS = ("capillary", "slit", "lengthwise", "large")
SHARES = (0.36, 0.22, 0.26, 0.16)
TOUCHING_SHARE = 0.1
"""Largest share of a slide's vessels that touch another: back-to-back capillaries, a vein by its artery."""
PRESSED_UM = 0.4
"""How far the outlines of two that touch run into each other."""
_FINE = 4
_CLEAR_UM = 7


@dataclass(frozen=True, eq=False)
class Vessel:
    """One vessel.

    Attributes
    ----------
    kind : {"capillary", "slit", "lengthwise", "large"}
    outline : (n, 2) float64
        Outer border of the endothelium, px.
    lumen : (m, 2) float64 or None
        Its inner border, px; None where the walls touch.
    lumen_um : float
        Width of the lumen at its widest, µm.
    muscle_um : float
        Thickness of a muscular coat outside the outline; 0 without.
    """

    kind: str
    outline: Points
    lumen: Points | None
    lumen_um: float
    muscle_um: float


def place_touching(
    plan: Plan, n: int, taken: Occupancy, streams: tuple[np.random.Generator, np.random.Generator]
) -> list[Vessel]:
    """Draw ``n`` vessels of which a share drawn for the slide, up to `TOUCHING_SHARE`, touch another.

    ``streams`` are what vessels that stand alone, and their neighbours, are drawn from.
    """
    alone, beside = streams
    pairs = round(float(beside.uniform(0, TOUCHING_SHARE)) * n / 2)
    vessels = place_vessels(plan, n - pairs, taken, alone)
    added: list[Vessel] = []
    for index in beside.permutation(len(vessels)):
        if len(added) == pairs:
            break
        neighbour = _neighbour(vessels[index], plan, taken, beside)
        if neighbour is not None:
            taken.take_polygon(grown(neighbour.outline, (1.0 + neighbour.muscle_um) * PX))
            added.append(neighbour)
    return vessels + added


def _neighbour(host: Vessel, plan: Plan, taken: Occupancy, rng: np.random.Generator) -> Vessel | None:
    """A vessel pressed against another from any side; None where there is no room, or a coat between."""
    kind, towards = str(rng.choice(KINDS, p=SHARES)), float(rng.uniform(0, 2 * np.pi))
    centre = host.outline.mean(0)
    vessel = _draw(kind, centre, float(fibre_angle(plan, centre[None])[0]), plan, rng)
    if host.muscle_um or vessel.muscle_um:
        return None
    move = _until_pressed(host.outline, vessel.outline, np.array([np.cos(towards), np.sin(towards)]))
    lumen = None if vessel.lumen is None else vessel.lumen + move
    vessel = replace(vessel, outline=vessel.outline + move, lumen=lumen)
    others = Occupancy(taken.taken.copy())
    others.free_polygon(grown(host.outline, 2.0 * PX))
    fits = _inside(plan, vessel.outline) and others.polygon_fits(vessel.outline, _CLEAR_UM)
    return vessel if fits else None


def _until_pressed(host: Points, outline: Points, towards: Points) -> Points:
    """How far to move an outline away from the host's middle until they only just overlap, px."""
    still, moved = shapely.Polygon(host).buffer(-PRESSED_UM * PX), shapely.Polygon(outline).buffer(0)
    near, far = 0.0, 400.0 * PX
    for _ in range(20):
        middle = (near + far) / 2
        if translate(moved, *(middle * towards)).intersects(still):
            near = middle
        else:
            far = middle
    return np.asarray(far * towards)


def place_vessels(plan: Plan, n: int, taken: Occupancy, rng: np.random.Generator) -> list[Vessel]:
    """Draw ``n`` vessels that do not touch, mostly in tumour and stroma; marks what they take."""
    weight = (plan.inside > 30) * (1 + 1.2 * plan.stroma) * (1 - 0.9 * plan.fat) * (1 - plan.necrosis) ** 2
    vessels: list[Vessel] = []
    for attempt in range(12):
        missing = n - len(vessels)
        centres = even_points(weight.astype(np.float32), missing, rng)
        angles = fibre_angle(plan, centres)
        for centre, angle in zip(centres, angles, strict=True):
            kind = str(rng.choice(KINDS, p=SHARES)) if attempt < 6 else "slit"
            vessel = _draw(kind, centre, float(angle), plan, rng)
            if not _inside(plan, vessel.outline) or not taken.polygon_fits(vessel.outline, _CLEAR_UM):
                continue
            taken.take_polygon(grown(vessel.outline, (1.0 + vessel.muscle_um) * PX))
            vessels.append(vessel)
        if len(vessels) >= n:
            break
    return vessels


def _inside(plan: Plan, outline: Points) -> bool:
    from tme.testing.render_place import value_at

    width, height = plan.size_px
    if outline.min() < 0 or outline[:, 0].max() >= width or outline[:, 1].max() >= height:
        return False
    return bool((value_at(plan.inside, outline) > 14).all())


def _draw(kind: str, centre: Points, angle: float, plan: Plan, rng: np.random.Generator) -> Vessel:
    angle += float(rng.normal(0, 0.35))
    if kind == "lengthwise":
        return _tube(
            kind, centre, angle, float(rng.uniform(45, 170)), float(rng.uniform(3.2, 6.8)), plan, rng
        )
    if kind == "slit":
        return _tube(kind, centre, angle, float(rng.uniform(18, 60)), float(rng.uniform(1.7, 2.9)), plan, rng)
    if kind == "large":
        return _closed(kind, centre, angle, float(np.exp(rng.uniform(np.log(12), np.log(42)))), rng)
    return _closed(kind, centre, angle, float(rng.uniform(5.2, 10)), rng)


def _closed(kind: str, centre: Points, angle: float, radius_um: float, rng: np.random.Generator) -> Vessel:
    """A vessel cut across or obliquely."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    stretch = float(np.sqrt(rng.uniform(1.0, 2.4)))
    radius = np.ones(72)
    for k in (2, 3, 4, 5, 7, 9):
        radius += rng.normal(0, 0.14 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    x, y = radius_um * stretch * radius * np.cos(turn), radius_um / stretch * radius * np.sin(turn)
    c, s = np.cos(angle), np.sin(angle)
    outline = centre + PX * np.stack([x * c - y * s, x * s + y * c], -1)
    wall_um = float(rng.uniform(1.6, 2.6)) + (0.4 if kind == "large" else 0.0)
    narrow_um = float(np.min(radius)) * radius_um / stretch
    if narrow_um < wall_um + 1.0:
        return Vessel(kind, outline, None, 0.0, 0.0)
    thick = wall_um * (1 + 0.25 * np.cos(turn * 2 + rng.uniform(0, 6)) + _wobble(72, 0.28, rng))
    lumen = grown(outline, -PX * thick)
    muscle_um = float(rng.uniform(4, 12)) if kind == "large" and rng.random() < 0.4 else 0.0
    return Vessel(kind, outline, lumen, 2 * (narrow_um - wall_um), muscle_um)


def _tube(
    kind: str,
    centre: Points,
    angle: float,
    length_um: float,
    half_um: float,
    plan: Plan,
    rng: np.random.Generator,
) -> Vessel:
    """A vessel cut lengthwise, or a slit: a bent band along the fibres."""
    n = max(12, int(length_um / 2))
    bend = np.cumsum(rng.normal(0, 0.07, n)) + rng.normal(0, 0.25) * np.linspace(-1, 1, n)
    heading = angle + bend - bend[n // 2]
    steps = PX * length_um / n * np.stack([np.cos(heading), np.sin(heading)], -1)
    line = np.cumsum(steps, 0)
    line += centre - line[n // 2]
    normal = np.stack([-np.sin(heading), np.cos(heading)], -1)
    along = np.linspace(-1, 1, n)
    swell = 1 + 0.25 * np.sin(along * rng.uniform(2, 6) + rng.uniform(0, 6)) + _wobble(n, 0.07, rng)
    half = half_um * swell * (1 - np.abs(along) ** 6 * 0.85)
    outline = _band(line, normal, half)
    wall_um = float(rng.uniform(1.5, 2.4))
    if half_um < wall_um + 1.0:
        return Vessel(kind, outline, None, 0.0, 0.0)
    inner = half - wall_um * (1 + 0.2 * np.sin(along * rng.uniform(4, 9)) + _wobble(n, 0.25, rng))
    core = (np.abs(along) < 1 - 2 * wall_um / length_um) & (inner > 0.5)
    lumen = _band(line[core], normal[core], inner[core])
    return Vessel(kind, outline, lumen, 2 * float(inner.max()), 0.0)


def _wobble(n: int, spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth closed noise along an outline, SD ``spread``, at most twice that."""
    noise = rng.standard_normal(n)
    noise = noise + np.roll(noise, 1) + np.roll(noise, -1) + 0.5 * (np.roll(noise, 2) + np.roll(noise, -2))
    return np.asarray(np.clip(noise / 1.87, -2, 2) * spread)


def _band(line: Points, normal: Points, half_um: NDArray[np.float64]) -> Points:
    side = PX * half_um[:, None] * normal
    return np.asarray(np.concatenate([line + side, (line - side)[::-1]]))


def grown(outline: Points, by_px: float | NDArray[np.float64]) -> Points:
    """A closed outline moved outwards along its normals (inwards where negative)."""
    tangent = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    x, y = outline.T
    turning = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    move = np.asarray(by_px) * (1.0 if turning > 0 else -1.0)
    return np.asarray(outline + np.reshape(move, (-1, 1)) * normal)


def polygon_area_um2(outline: Points) -> float:
    """Area of a closed outline given in px, µm² (shoelace)."""
    x, y = outline.T
    twice = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return px_to_um(px_to_um(abs(twice) / 2, MPP), MPP)


def paint_vessel(
    canvas: Canvas, vessel: Vessel, look: Look, texture: Texture, marked: bool, rng: np.random.Generator
) -> None:
    """Clear the lumen, draw the wall, and stain the endothelium where ``marked`` (CD31)."""
    grow = int(PX * vessel.muscle_um) + 6
    low = np.floor(vessel.outline.min(0)).astype(int) - grow
    high = np.ceil(vessel.outline.max(0)).astype(int) + grow
    height, width = canvas.shape
    if low.min() < 0 or high[0] > width or high[1] > height:
        return
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    outer = polygon_cover(shape, vessel.outline - low)
    inner = (
        polygon_cover(shape, vessel.lumen - low) if vessel.lumen is not None else np.zeros(shape, np.float32)
    )
    if vessel.muscle_um:
        coat = polygon_cover(shape, grown(vessel.outline, PX * vessel.muscle_um) - low) * (1 - outer)
        canvas.second[rows, columns] += coat * np.float32(0.5 * look.collagen_od)
    canvas.fade(int(low[1]), int(low[0]), np.float32(0.94) * inner)
    wall = np.maximum(outer - inner, 0)
    canvas.second[rows, columns] += wall * np.float32(0.35 * look.collagen_od)
    if not marked:
        return
    cut_y, cut_x = (int(rng.integers(0, 1024 - side)) if side < 1024 else 0 for side in shape)
    coarse = np.resize(texture.coarse[cut_y : cut_y + shape[0], cut_x : cut_x + shape[1]], shape)
    fine = np.resize(texture.fine[cut_y : cut_y + shape[0], cut_x : cut_x + shape[1]], shape)
    gap = float(rng.choice([-1.7, -1.2, -0.7], p=[0.5, 0.35, 0.15]))
    strength = look.marker_od * float(np.exp(rng.normal(0, look.marker_spread)))
    uneven = np.maximum(1 + 0.32 * coarse + 0.22 * fine, 0.25) * ramp(coarse, gap - 0.2, gap + 0.2)
    grazed = rng.random() < 0.25 and vessel.kind in ("lengthwise", "capillary")
    within = float(rng.uniform(0.2, 0.45) if grazed else rng.uniform(0.0, 0.05))
    brown = strength * (wall * uneven + within * inner * np.maximum(0.6 + 0.6 * coarse, 0))
    leak = cv2.GaussianBlur(np.asarray(brown, np.float32), (0, 0), 3.0) * 0.12
    canvas.marker[rows, columns] += (brown + leak).astype(np.float32)


def polygon_cover(shape: tuple[int, int], outline: Points) -> Field:
    """Share 0-1 of each cell of a window that a polygon, in cells of that window, covers.

    Filled four times finer and averaged. OpenCV puts a pixel's centre at its index (ours lies half a
    pixel further) and also fills pixels whose centre the outline misses by up to half.
    """
    fine = np.zeros((shape[0] * _FINE, shape[1] * _FINE), np.uint8)
    inner = grown(outline * _FINE, -0.5)
    cv2.fillPoly(fine, [np.round((inner - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    small = cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) * np.float32(1 / 255)
