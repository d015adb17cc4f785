"""The overlay folder of one slide: ``index.html``, ``data.js``, ``field-1.js`` …

The page works from a folder: browsers forbid pages opened that way to fetch files, but not to run
scripts beside them, so data and pictures come as scripts. Text from outside enters the page through
autoescaped Jinja or through JSON that a script puts in place as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tme.config import OverlaySettings
from tme.overlay.assets import FROM_OVERLAY, asset_names
from tme.overlay.density import OUTSIDE, Counted, DensityMap, counted_objects, density_map
from tme.overlay.fields import Field, choose_fields, inside_field, numbered
from tme.overlay.frame import render_page
from tme.overlay.layers import field_objects, mask_rings, reduced_mask
from tme.overlay.overview import Overview, data_url, indexed_png_bytes, jpeg_bytes, read_overview
from tme.overlay.palette import DENSITY_COLOURS, artefact_colour, density_ramp, region_colour, rgb
from tme.regions.walls import make_walls
from tme.safety import script_json
from tme.slide.types import Slide
from tme.stains.types import StainProfile
from tme.store import write_text
from tme.tables import Rows
from tme.tissue.types import ARTEFACTS, Mask, TissueMask
from tme.units import px_to_um

ARTEFACT_OPACITY = 0.55
DENSITY_OPACITY = 0.75
REGION_NAMES_SHOWN = 12
SOURCES = {
    "control": "control slides of its batch",
    "calibration": "the calibration's control slides",
    "slide": "the slide itself",
    "config": "the configuration",
}
TITLE_KEYS = ("slide_id", "patient", "timepoint", "stain")


def write_overlay(
    folder: Path,
    slide: Slide,
    tissue: TissueMask,
    regions: Mapping[str, Mask],
    cells: Rows | None,
    vessels: pa.Table | None,
    *,
    title: Mapping[str, str],
    summary: Sequence[tuple[str, str]],
    cautions: Sequence[str],
    settings: OverlaySettings,
    profile: StainProfile | None = None,
    overview: Overview | None = None,
) -> None:
    """Write the page a pathologist checks one slide by.

    Parameters
    ----------
    folder : Path
        ``…/slides/<slide_id>/overlay``; the scripts of `write_assets` are found from there.
    slide : Slide
        Open; read once small and once per field.
    tissue : TissueMask
    regions : mapping of str to (H, W) bool
        Compartments and annotated regions on the tissue grid.
    cells : pyarrow.Table, SavedTable or None
    vessels : pyarrow.Table or None
    title : mapping
        Display text under ``slide_id``, ``patient``, ``timepoint``, ``stain``.
    summary : sequence of (label, text)
        The slide's main numbers, with units.
    cautions : sequence of str
    settings : OverlaySettings
    profile : StainProfile, optional
        Stain vectors and the DAB threshold with the histogram it was read from.
    overview : Overview, optional
        Spares reading the slide again where it was read for the thumbnail.

    Notes
    -----
    The same input gives the same bytes.
    """
    seen = overview or read_overview(slide)
    walls = None if vessels is None else make_walls(vessels, slide.info.mpp, tissue)
    counted = counted_objects(cells, vessels, walls)
    fields = choose_fields(slide.info, tissue, counted, settings.fields, settings.field_um)
    density = density_map(counted, tissue) if counted is not None else None
    data = {
        "slide": {"width": round(tissue.width_um, 1), "height": round(tissue.height_um, 1)},
        "overview": _overview(seen),
        "tissue": mask_rings(tissue.tissue, tissue.mpp, seen.mpp),
        "regions": [mask_rings(mask, tissue.mpp, seen.mpp) for _, mask in _shown(regions)],
        "artefacts": _artefact_pictures(tissue),
        "density": _density(density),
        "fields": [_field_entry(number, field, counted, tissue) for number, field in numbered(fields)],
        "histogram": _histogram(profile),
    }
    write_text(folder / "data.js", f"window.tmeOverlay = {script_json(data)};\n")
    for number, field in numbered(fields):
        shown = _field(slide, field, cells, vessels)
        write_text(folder / f"field-{number}.js", f"window.tmeFields[{number}] = {script_json(shown)};\n")
    text = _html(data, tissue, _shown(regions), density, counted, title, summary, cautions, profile)
    write_text(folder / "index.html", text)


def _html(
    data: dict[str, Any],
    tissue: TissueMask,
    regions: Sequence[tuple[str, Mask]],
    density: DensityMap | None,
    counted: Counted | None,
    title: Mapping[str, str],
    summary: Sequence[tuple[str, str]],
    cautions: Sequence[str],
    profile: StainProfile | None,
) -> str:
    return render_page(
        "tme.overlay",
        "overlay.html",
        assets=FROM_OVERLAY,
        scripts=asset_names(),
        title={key: str(title.get(key, "")) for key in TITLE_KEYS},
        summary=list(summary),
        cautions=list(cautions),
        fields=data["fields"],
        artefacts=_artefact_rows(tissue),
        regions=[_region_row(name, mask, tissue) for name, mask in regions],
        tissue_mm2=f"{tissue.area_mm2(tissue.tissue):.2f}",
        pieces=tissue.n_pieces,
        density=None if density is None or counted is None else _legend(density, counted),
        profile=_profile(profile),
        aspect=_aspect(data["slide"]),
    )


def _shown(regions: Mapping[str, Mask]) -> list[tuple[str, Mask]]:
    return list(regions.items())[:REGION_NAMES_SHOWN]


def _aspect(size: Mapping[str, float]) -> str:
    """Width to height of the overview's frame, kept within what a screen shows well."""
    return f"{min(2.4, max(0.8, size['width'] / size['height'])):.3f}"


def _overview(overview: Overview) -> dict[str, Any]:
    return {
        "url": data_url(jpeg_bytes(overview.pixels), "jpeg"),
        "width": round(overview.width_um, 2),
        "height": round(overview.height_um, 2),
    }


def _artefact_pictures(tissue: TissueMask) -> list[dict[str, Any]]:
    pictures = []
    for name in ARTEFACTS:
        mask, mpp = reduced_mask(tissue.artefact(name), tissue.mpp)
        if mask.any():
            colours = [(255, 255, 255), rgb(artefact_colour(name))]
            picture = indexed_png_bytes(mask.astype(np.uint8), colours, [0, ARTEFACT_OPACITY])
            height, width = mask.shape
            size = {"width": round(px_to_um(width, mpp), 2), "height": round(px_to_um(height, mpp), 2)}
            pictures.append({"name": name, "url": data_url(picture, "png"), **size})
    return pictures


def _artefact_rows(tissue: TissueMask) -> list[dict[str, str]]:
    whole = tissue.area_mm2(tissue.tissue)
    rows = []
    for name in ARTEFACTS:
        area = tissue.area_mm2(tissue.artefact(name))
        rows.append(
            {
                "name": name,
                "colour": artefact_colour(name),
                "area": f"{area:.3f}",
                "share": f"{100 * area / whole:.1f}" if whole else "",
                "found": "yes" if area else "",
            }
        )
    return rows


def _region_row(name: str, mask: Mask, tissue: TissueMask) -> dict[str, str]:
    return {"name": name, "colour": region_colour(name), "area": f"{tissue.area_mm2(mask):.2f}"}


def _density(density: DensityMap | None) -> dict[str, Any] | None:
    if density is None:
        return None
    height, width = density.steps.shape
    colours = [*density_ramp(OUTSIDE), (255, 255, 255)]
    picture = indexed_png_bytes(density.steps, colours, [DENSITY_OPACITY] * OUTSIDE + [0.0])
    return {
        "url": data_url(picture, "png"),
        "width": round(width * density.pitch_um, 2),
        "height": round(height * density.pitch_um, 2),
    }


def _legend(density: DensityMap, counted: Counted) -> dict[str, str]:
    return {
        "title": counted.title,
        "top": f"{density.top_per_mm2:,.0f}" if density.top_per_mm2 >= 10 else f"{density.top_per_mm2:.1f}",
        "gradient": ", ".join(DENSITY_COLOURS),
    }


def _field_entry(number: int, field: Field, counted: Counted | None, tissue: TissueMask) -> dict[str, Any]:
    return {
        "number": number,
        "x": round(field.x_um, 2),
        "y": round(field.y_um, 2),
        "width": round(field.width_um, 2),
        "height": round(field.height_um, 2),
        "reason": field.reason,
        "count": "" if counted is None else _count_text(field, counted, tissue),
    }


def _count_text(field: Field, counted: Counted, tissue: TissueMask) -> str:
    """What is counted in the field's usable part, and its density there."""
    inside = inside_field(field, counted.x_um, counted.y_um)
    inside &= counted.usable(tissue)
    number = float(counted.weight[inside].sum())
    height, width = tissue.shape
    x_um = (np.arange(width) + 0.5) * tissue.mpp
    y_um = (np.arange(height) + 0.5) * tissue.mpp
    columns = (x_um >= field.x_um) & (x_um < field.x_um + field.width_um)
    rows = (y_um >= field.y_um) & (y_um < field.y_um + field.height_um)
    area_mm2 = tissue.area_mm2(tissue.usable & rows[:, None] & columns[None, :])
    text = f"{number:,.0f} {counted.title}"
    return f"{text}, {number / area_mm2:,.0f}/mm²" if area_mm2 > 0 else text


def _field(slide: Slide, field: Field, cells: Rows | None, vessels: pa.Table | None) -> dict[str, Any]:
    box = field.box
    pixels = slide.read(box.x0, box.y0, box.width, box.height, field.mpp)
    return {
        "url": data_url(jpeg_bytes(pixels), "jpeg"),
        "width": round(field.width_um, 2),
        "height": round(field.height_um, 2),
        "mpp": round(field.mpp, 4),
        "groups": field_objects(field, slide.info.mpp, cells, vessels),
    }


def _histogram(profile: StainProfile | None) -> dict[str, Any] | None:
    if profile is None or not profile.histogram.get("counts"):
        return None
    return {
        "edges": [round(float(value), 4) for value in profile.histogram["edges"]],
        "counts": [round(float(value), 4) for value in profile.histogram["counts"]],
        "threshold": profile.dab_threshold_od,
        "low": profile.threshold_low_od,
        "high": profile.threshold_high_od,
        "own": profile.slide_threshold_od if profile.threshold_source != "slide" else None,
    }


def _profile(profile: StainProfile | None) -> dict[str, Any] | None:
    if profile is None:
        return None
    # Only a stain with a marker has a histogram of it.
    marker = "DAB" if profile.histogram else "Eosin"
    colours = [_vector_colour(vector) for vector in profile.vectors[:2]]
    return {
        "vectors": [
            {"name": name, "colour": colour, "text": ", ".join(f"{value:.3f}" for value in vector)}
            for name, colour, vector in zip(("Haematoxylin", marker), colours, profile.vectors, strict=False)
        ],
        "background": ", ".join(f"{value:.0f}" for value in profile.background),
        "threshold": None if profile.dab_threshold_od is None else f"{profile.dab_threshold_od:.3f}",
        "interval": _interval(profile),
        "source": SOURCES.get(profile.threshold_source, profile.threshold_source),
        "own": "" if profile.slide_threshold_od is None else f"{profile.slide_threshold_od:.3f}",
        "from_slide": profile.threshold_source == "slide",
        "note": profile.no_count or profile.threshold_note,
        "no_cut": bool(profile.no_count),
        "histogram": bool(profile.histogram.get("counts")),
    }


def _interval(profile: StainProfile) -> str:
    """The threshold's 95 % interval, or empty where it was not estimated."""
    low, high = profile.threshold_low_od, profile.threshold_high_od
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _vector_colour(vector: tuple[float, float, float]) -> str:
    """The colour of one unit of optical density along a vector, ``#rrggbb``."""
    return "#" + "".join(f"{min(255, max(0, round(255 * 10**-value))):02x}" for value in vector)
