"""From optical density to the scanner's pixels: mixing, uneven stain, pen, focus, noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tme.slide.types import RGB
from tme.testing.render_ground import Canvas
from tme.testing.render_noise import enlarge, smooth_noise
from tme.testing.render_spec import COARSE_PX, PX, Look
from tme.testing.render_tissue import Plan

_STRIP = 512
_HUE_UM = 12.0
"""How far the colour of DAB drifts."""
_INKS = {
    "blue": (2.3, 1.3, 0.45),
    "green": (1.9, 0.75, 1.5),
    "black": (2.1, 2.1, 2.0),
    "red": (0.3, 1.9, 1.6),
}


def develop(canvas: Canvas, plan: Plan, look: Look, rng: np.random.Generator) -> RGB:
    """(H, W, 3) uint8 pixels of a canvas.

    Beer-Lambert: colour = white · exp(-optical density); stains add up. The stain's strength drifts
    slowly over the slide and DAB's colour from cell to cell, the optics soften, the sensor adds noise.
    """
    height, width = canvas.shape
    drift = np.stack([1 + look.unevenness * smooth_noise(plan.shape, 220, rng) for _ in range(3)], -1)
    # A generator of its own leaves everything else as drawn without.
    (own,) = rng.spawn(1)
    scale = _HUE_UM * PX / COARSE_PX
    hue = np.stack([look.hue_spread * smooth_noise(plan.shape, scale, own) for _ in range(3)], -1)
    glass = look.white * (1 + 0.006 * smooth_noise(plan.shape, 300, rng)[..., None])
    ink = np.array(_INKS[str(rng.choice(sorted(_INKS)))], np.float32) * np.float32(rng.uniform(0.45, 0.9))
    out = np.empty((height, width, 3), np.uint8)
    for y0 in range(0, height, _STRIP):
        rows = slice(y0, min(y0 + _STRIP, height))
        size = (width, rows.stop - rows.start)
        here = slice(y0 // COARSE_PX, -(-rows.stop // COARSE_PX))
        layers = np.stack([canvas.haematoxylin[rows], canvas.second[rows], canvas.marker[rows]], -1)
        layers *= enlarge(drift[here], size)
        density = layers.reshape(-1, 3) @ look.vectors
        if look.hue_spread > 0:
            density += (layers[..., 2:] * enlarge(hue[here], size)).reshape(-1, 3) * look.vectors[2]
        if plan.pen[here].any():
            density += enlarge(plan.pen[here], size).reshape(-1, 1) * ink
        colour = np.exp(-density).reshape(*size[::-1], 3) * enlarge(glass[here], size)
        out[rows] = np.clip(colour + 0.5, 0, 255)
    out = np.asarray(cv2.GaussianBlur(out, (0, 0), look.softness_px), np.uint8)
    _defocus(out, plan, float(rng.uniform(6, 9)))
    _noise(out, look.grain, rng)
    return out


def _defocus(pixels: RGB, plan: Plan, sigma_px: float) -> None:
    """Blur the patch that is out of focus, in place."""
    ys, xs = np.nonzero(plan.blur)
    if not len(ys):
        return
    y0, y1 = max(0, ys.min() - 4) * COARSE_PX, (ys.max() + 5) * COARSE_PX
    x0, x1 = max(0, xs.min() - 4) * COARSE_PX, (xs.max() + 5) * COARSE_PX
    window = pixels[y0:y1, x0:x1]
    local = plan.blur[y0 // COARSE_PX : y1 // COARSE_PX, x0 // COARSE_PX : x1 // COARSE_PX]
    cover = enlarge(local, (window.shape[1], window.shape[0]))[..., None]
    soft = cv2.GaussianBlur(window, (0, 0), sigma_px).astype(np.float32)
    window[...] = (window * (1 - cover) + soft * cover + 0.5).astype(np.uint8)


def _noise(pixels: RGB, grain: float, rng: np.random.Generator) -> None:
    """Sensor noise in place: brightness, the same in the three colours."""
    for y0 in range(0, pixels.shape[0], _STRIP):
        strip = pixels[y0 : y0 + _STRIP]
        noise: NDArray = rng.standard_normal(strip.shape[:2], np.float32) * np.float32(grain)
        strip[...] = np.clip(strip + noise[..., None] + 0.5, 0, 255)
