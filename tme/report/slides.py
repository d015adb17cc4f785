"""Every slide: its picture, how good it is, and why it is or is not evaluable."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from tme.report.artefacts import Row, Run
from tme.report.numbers import number_text, value_of

THUMBNAIL = (132, 88)
QUALITY = 60
STATUS_TITLES = {
    "ok": "Evaluable",
    "not_evaluable": "Not evaluable",
    "failed": "Failed",
    "excluded": "Excluded",
}
SHARES = ("pen_pct", "fold_pct", "blur_pct")


def slide_rows(run: Run) -> list[dict[str, Any]]:
    """One entry per slide, in the order of the sheet."""
    return [_slide(row, run) for row in run.one_per_slide()]


def _slide(row: Row, run: Run) -> dict[str, Any]:
    slide_id = row.get("slide_id", "")
    status = row.get("status", "")
    if status == "ok" and row.get("evaluable") != "true":
        status = "not_evaluable"
    folder = run.results / "slides" / run.folders.get(slide_id, slide_id)
    return {
        "slide_id": slide_id,
        "patient": row.get("patient_id", ""),
        "lesion": row.get("lesion_id", ""),
        "timepoint": row.get("timepoint", ""),
        "day": row.get("biopsy_day", ""),
        "stain": row.get("stain", ""),
        "status": status,
        "title": STATUS_TITLES.get(status, status),
        "why": _why(row, status, run),
        "caution": row.get("caution", ""),
        "area": _cell(row.get("evaluable_area_mm2")),
        "tissue": _cell(row.get("tissue_area_mm2")),
        "nuclei": _cell(row.get("n_nuclei")),
        "vessels": _cell(row.get("n_vessels")),
        "shares": [_share(row.get(name)) for name in SHARES],
        "page": None if run.shared else _page(folder),
        "picture": thumbnail(folder / "thumbnail.jpg"),
    }


def _why(row: Row, status: str, run: Run) -> str:
    if status == "ok":
        area = number_text(value_of(row.get("evaluable_area_mm2")))
        least = run.config.metrics
        nuclei = value_of(row.get("n_nuclei"))
        text = f"{area} mm² of at least {least.min_area_mm2:g}"
        return (
            text if nuclei is None else f"{text}; {number_text(nuclei)} nuclei of at least {least.min_nuclei}"
        )
    return row.get("not_evaluable_reason", "") if status == "not_evaluable" else row.get("reason", "")


def _cell(text: str | None) -> tuple[str, str]:
    """(as shown, as it stands in the table)."""
    return number_text(value_of(text)), text or ""


def _share(text: str | None) -> tuple[str, str]:
    value = value_of(text)
    return ("–" if value is None else f"{value:.1f}" if value else "0"), text or ""


def _page(folder: Path) -> str | None:
    page = folder / "overlay" / "index.html"
    return f"../slides/{folder.name}/overlay/index.html" if page.is_file() else None


def thumbnail(path: Path) -> str | None:
    """A small copy of a picture as a ``data:`` address; None where there is none that can be read."""
    try:
        with Image.open(path) as image:
            image.thumbnail(THUMBNAIL)
            stream = io.BytesIO()
            image.save(stream, "WEBP", quality=QUALITY, method=4)
    except (OSError, UnidentifiedImageError):
        return None
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
