"""Small synthetic slides, rendered once a session."""

from __future__ import annotations

import pytest

from tme.testing.render import Rendered, SlideSpec, render_slide

SPECS = {
    "HE": SlideSpec("HE", 0.35, til_density_per_mm2=400, mvd_per_mm2=80, cores=1),
    "CD8": SlideSpec("CD8", 0.35, til_density_per_mm2=500, mvd_per_mm2=60, cores=1),
    "CD31": SlideSpec("CD31", 0.35, mvd_per_mm2=110, cores=0),
}


@pytest.fixture(scope="session")
def small_slides() -> dict[str, Rendered]:
    """One slide of each stain, 0.35 mm² of tissue."""
    return {stain: render_slide(spec, 7) for stain, spec in SPECS.items()}


@pytest.fixture(scope="session")
def spoiled_slide() -> Rendered:
    """A CD8 slide with pen and blur."""
    return render_slide(SlideSpec("CD8", 0.9, til_density_per_mm2=200, cores=1, pen=True, blur=True), 3)
