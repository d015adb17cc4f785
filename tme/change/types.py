"""The values of the change room: what one slide brings, and one row of ``pairs.csv``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tme.metrics.types import Measurements
from tme.stains import STAINS, Stain

INCREASE, DECREASE = "increase", "decrease"
WITHIN_NOISE, NOT_EVALUABLE = "within_noise", "not_evaluable"
NOT_IN_TABLE = ("degrees", "withheld", "slides_pre", "slides_post")
"""Fields of a `PairRow` that are no columns: what pooling lesions needs."""


@dataclass(frozen=True)
class Recount:
    """Positive cells of a compartment from another DAB density on: their number, and their area in µm²."""

    cells: int
    area_um2: float


@dataclass(frozen=True)
class SlideResult:
    """One slide of the cohort as its job left it.

    Attributes
    ----------
    keys : dict
        Key and QC columns of `slide_metrics.csv`; at least ``patient_id``, ``slide_id``,
        ``timepoint`` and ``stain``. What is empty or None is missing.
    measurements : Measurements or None
        None for a slide that failed or was excluded.
    status : {"ok", "failed", "excluded"}
    reason : str
        Why it failed or was excluded.
    biopsy_date : str
        ``YYYY-MM-DD`` or empty.
    positive_from : callable or None
        ``positive_from(compartment, od)``: cells that are positive from another DAB density on; None
        where no cells are called by one.
    """

    keys: Mapping[str, Any]
    measurements: Measurements | None
    status: str = "ok"
    reason: str = ""
    biopsy_date: str = ""
    positive_from: Callable[[str, float], Recount] | None = None

    @property
    def stain(self) -> Stain:
        """The slide's registered stain."""
        return STAINS.get(self.key("stain"))

    def key(self, name: str) -> str:
        """A key column as text; empty where it is missing."""
        value = self.keys.get(name)
        return "" if value is None else str(value)


@dataclass(frozen=True)
class PairRow:
    """One row of ``pairs.csv``: fields are its columns, in order, but for `NOT_IN_TABLE`.

    Attributes
    ----------
    degrees : float or None
        Degrees of freedom of the interval.
    withheld : bool
        Whether a sample is missing or cannot be judged, also for metrics that are never called.
    slides_pre, slides_post : tuple of SlideResult
        Those whose numbers are in the values.
    """

    patient_id: str
    lesion_id: str
    stain: str
    compartment: str
    metric: str
    kind: str
    timepoint_pre: str
    timepoint_post: str
    value_pre: float | None = None
    value_post: float | None = None
    n_pre: int | None = None
    n_post: int | None = None
    area_pre_mm2: float | None = None
    area_post_mm2: float | None = None
    delta_abs: float | None = None
    delta_ci_low: float | None = None
    delta_ci_high: float | None = None
    log2fc: float | None = None
    log2fc_se: float | None = None
    log2fc_ci_low: float | None = None
    log2fc_ci_high: float | None = None
    rc_log2: float | None = None
    rc_source: str = ""
    change_call: str = ""
    pairing: str = ""
    interval_days: int | None = None
    note: str = ""
    fc_ge_2p5: bool | None = None
    otd_ge_500: bool | None = None
    degrees: float | None = None
    withheld: bool = False
    slides_pre: tuple[SlideResult, ...] = field(default=(), repr=False, compare=False)
    slides_post: tuple[SlideResult, ...] = field(default=(), repr=False, compare=False)

    def row(self) -> dict[str, Any]:
        """The row of the table; a text that is empty is missing there."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in NOT_IN_TABLE}
