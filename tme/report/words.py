"""Names of metrics, calls and units as people read them."""

from __future__ import annotations

CALL_TITLES = {
    "increase": "Increase",
    "decrease": "Decrease",
    "within_noise": "Within noise",
    "not_evaluable": "Not evaluable",
}
METRIC_TITLES = {
    "til_density_per_mm2": "TIL density",
    "til_fraction_pct": "TILs among nuclei",
    "positive_pct": "positive cells",
    "til_area_pct": "TIL area",
    "til_density_p90_per_mm2": "TIL density, 90th percentile of squares",
    "til_gini": "unevenness of TILs (Gini)",
    "til_hotspot_area_pct": "TIL hotspot area",
    "til_tumour_morisita": "TIL–tumour cell mixing (Morisita–Horn)",
    "mvd_per_mm2": "microvessel density",
    "mvd_hotspot_per_mm2": "microvessel density in hotspots",
    "vessel_area_pct": "vessel area",
    "endothelium_area_pct": "endothelium area",
    "lumen_vessel_pct": "vessels with a lumen",
    "vessel_area_um2_median": "vessel size, median area",
    "vessel_perimeter_um_median": "vessel perimeter, median",
    "vessel_min_feret_um_median": "vessel calibre, median",
    "large_vessel_pct": "large vessels",
    "vessel_nnd_um_median": "distance to the next vessel, median",
    "vessel_clark_evans_r": "spacing of vessels (Clark–Evans R)",
    "tissue_to_vessel_um_median": "distance from tissue to vessel, median",
    "tissue_to_vessel_um_p90": "distance from tissue to vessel, 90th percentile",
    "avascular_pct": "avascular area",
    "vessel_hotspot_area_pct": "vessel hotspot area",
    "til_to_vessel_um_median": "distance from TIL to vessel, median",
    "til_within_30um_pct": "TILs within 30 µm of a vessel",
    "til_perivascular_ratio": "perivascular TIL ratio",
}
STAIN_TITLES = {"HE": "H&E", "KI67": "Ki-67"}
UNITS = (("_per_mm2", "/mm²"), ("_pct", "%"), ("_area_um2", "µm²"), ("_um", "µm"))


def metric_title(stain: str, metric: str) -> str:
    """``CD8 TIL density``; a metric of another package is shown by its column."""
    return f"{stain_title(stain)} {METRIC_TITLES.get(metric, metric)}"


def sentence(text: str) -> str:
    """The text with a capital first letter and all others as they are, so that NE stays NE."""
    return text[:1].upper() + text[1:]


def counted(number: int, one: str, many: str = "") -> str:
    """``1 patient``, ``2 patients``; ``many`` where the plural is more than an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def stain_title(stain: str) -> str:
    """A stain as papers write it."""
    return STAIN_TITLES.get(stain, stain)


def unit_of(metric: str) -> str:
    """The unit a metric's column ends in."""
    return next((unit for ending, unit in UNITS if ending in metric), "")
