"""Whether a slide looks like what a network was trained on: in stain, focus and resolution.

In: the slide's stain profile and resolution, and the ranges of the training fields. Out: sentences for
the QC page. A slide outside is still counted: the reader decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from tme.stains.types import StainProfile

# Measure: (what a reader is told is low, what is high).
MEASURES = {
    "nucleus": ("nuclei are paler", "nuclei are darker"),
    "background": ("tissue between nuclei is paler", "tissue between nuclei is darker"),
    "detail": ("focus is softer", "edges are crisper"),
    "mpp": ("the scan is finer", "the scan is coarser"),
}


def domain_values(profile: StainProfile, native_mpp: float) -> dict[str, float]:
    """The measures of one slide, by name."""
    known = {name: value for name, value in profile.levels.items() if name in MEASURES}
    return {**known, "mpp": native_mpp}


def outside(domain: Mapping[str, tuple[float, float]], values: Mapping[str, float]) -> list[str]:
    """A sentence for every measure that lies outside the range a network was trained on."""
    said = []
    for name, (low, high) in domain.items():
        value = values.get(name)
        if value is None or name not in MEASURES or low <= value <= high:
            continue
        what, seen = MEASURES[name][value > high], f"{low:.3g}-{high:.3g}"
        said.append(f"{what} than in the fields the network learned from ({value:.3g}; learned on {seen})")
    return said
