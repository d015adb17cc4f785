"""Slides of the cohort -> rows of ``pairs.csv``: every patient, lesion, metric and pair of time points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from tme.change.compare import CALLED_KINDS, change_values, dejardin
from tme.change.pairing import Match, interval_days, match
from tme.change.pool import Side, pool
from tme.change.thresholds import threshold_notes
from tme.change.types import NOT_EVALUABLE, PairRow, SlideResult
from tme.config import ChangeSettings
from tme.metrics.family import metric_columns
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import CHANGE_KINDS, ColumnSpec
from tme.tables import significant


def compute_changes(
    slides: Sequence[SlideResult], timepoints: Sequence[str], settings: ChangeSettings
) -> list[PairRow]:
    """Every change that can be asked for.

    Parameters
    ----------
    slides : sequence of SlideResult
        All slides of the cohort in the order of the sheet, failed ones too.
    timepoints : sequence of str
        In the order of treatment; each earlier-later pair is compared.
    settings : ChangeSettings

    Returns
    -------
    list of PairRow
        By patient (order of the sheet), stain, pair, lesion, compartment and metric. A sample without a
        partner has its rows too, with `not_evaluable` and the reason.
    """
    metrics = [column for column in metric_columns() if column.kind in CHANGE_KINDS]
    rows: list[PairRow] = []
    for patient, stain, found in _groups(slides):
        wanted = [column for column in metrics if column.applies(found[0].stain)]
        for earlier, later in combinations(timepoints, 2):
            pre = [slide for slide in found if slide.key("timepoint") == earlier]
            post = [slide for slide in found if slide.key("timepoint") == later]
            for together in match(pre, post):
                keys = {
                    "patient_id": patient,
                    "lesion_id": together.lesion_id,
                    "stain": stain,
                    "timepoint_pre": earlier,
                    "timepoint_post": later,
                    "pairing": together.pairing,
                    "interval_days": interval_days(together.pre, together.post),
                }
                for compartment in _compartments(together):
                    rows += [_row(keys, together, compartment, metric, settings) for metric in wanted]
    return rows


def _groups(slides: Sequence[SlideResult]) -> Iterator[tuple[str, str, list[SlideResult]]]:
    """(patient, stain, slides): patients in the order of the sheet, stains by name."""
    for patient in dict.fromkeys(slide.key("patient_id") for slide in slides):
        own = [slide for slide in slides if slide.key("patient_id") == patient]
        for stain in sorted({slide.stain.name for slide in own}):
            yield patient, stain, [slide for slide in own if slide.stain.name == stain]


def _compartments(together: Match) -> list[str]:
    """Compartments of either side, ``evaluable`` first."""
    names = [EVALUABLE]
    for slide in (*together.pre, *together.post):
        if slide.measurements is not None:
            names += slide.measurements.compartments
    return list(dict.fromkeys(names))


def _row(
    keys: dict[str, Any], together: Match, compartment: str, metric: ColumnSpec, settings: ChangeSettings
) -> PairRow:
    pre = _side(together.pre, compartment, metric, keys["timepoint_pre"])
    post = _side(together.post, compartment, metric, keys["timepoint_post"])
    values = change_values(pre, post, metric, keys["stain"], settings)
    if not (together.pre and together.post):
        # Without a partner there is nothing to compare, whatever the kind of the metric.
        values |= {"change_call": NOT_EVALUABLE} if metric.kind in CALLED_KINDS else {}
    values |= dejardin(metric, keys["stain"], values, post)
    why = values.pop("why")
    notes = [*why, *_notes(pre, keys["timepoint_pre"]), *_notes(post, keys["timepoint_post"])]
    notes += threshold_notes(together, pre, post, compartment, metric, settings)
    numbers: dict[str, Any] = {
        "value_pre": pre.value,
        "value_post": post.value,
        "n_pre": pre.n,
        "n_post": post.n,
        "area_pre_mm2": pre.area_mm2,
        "area_post_mm2": post.area_mm2,
        **values,
    }
    rounded: dict[str, Any] = {
        name: significant(value) if isinstance(value, float) else value for name, value in numbers.items()
    }
    return PairRow(
        **keys,
        compartment=compartment,
        metric=metric.name,
        kind=metric.kind,
        note="; ".join(dict.fromkeys(notes)),
        withheld=bool(pre.reasons or post.reasons),
        slides_pre=pre.slides,
        slides_post=post.slides,
        **rounded,
    )


def _side(slides: Sequence[SlideResult], compartment: str, metric: ColumnSpec, timepoint: str) -> Side:
    return pool(slides, compartment, metric) if slides else Side(reasons=(f"no {timepoint} sample",))


def _notes(side: Side, timepoint: str) -> list[str]:
    return [
        text if text.endswith(f"no {timepoint} sample") else f"{timepoint}: {text}"
        for text in (*side.reasons, *side.notes)
    ]
