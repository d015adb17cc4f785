"""The registry of metrics. A family is one file in ``families/``; nothing else is edited to add one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tme.config import MetricSettings
from tme.metrics.intervals import Information
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate
from tme.registry import Registry

BY_OTHERS = 1000


Pool = Callable[[str, Sequence[Estimate], MetricSettings, Information], Estimate]


@dataclass(frozen=True)
class Family:
    """Metrics that share their work.

    Attributes
    ----------
    columns : tuple of ColumnSpec
        In the order of the table.
    measure : callable
        ``measure(scope) -> {column: Estimate}`` for columns declared above that apply to the
        scope's stain; a column left out is missing in the table.
    order : int
        Place of the family's columns in the table; those without one come last, by name.
    withhold : callable, optional
        ``withhold(scope, estimates)`` of this family says why changes of its target cannot be judged on
        this slide; an empty text where they can.
    pool : callable, optional
        ``pool(column, estimates, settings, information)`` makes one `Estimate` of those of several slides,
        each with a value, for columns that have neither ``sums`` nor ``spread``. Without it such a column is
        empty where slides are pooled.
    """

    columns: tuple[ColumnSpec, ...]
    measure: Callable[[Scope], Mapping[str, Estimate]]
    order: int = BY_OTHERS
    withhold: Callable[[Scope, Mapping[str, Estimate]], str] | None = None
    pool: Pool | None = None


METRICS: Registry[Family] = Registry("metric family", "tme.metrics.families", "tme.metrics")


def families() -> list[tuple[str, Family]]:
    """(name, family) in the order of the table."""
    return sorted(METRICS.items(), key=lambda item: (item[1].order, item[0]))


def family_of(column: str) -> Family:
    """The family that measures a column.

    Raises
    ------
    KeyError
        If none does.
    """
    for _, family in METRICS.items():
        if any(one.name == column for one in family.columns):
            return family
    raise KeyError(column)


def joined_parts(estimates: Sequence[Estimate]) -> dict[str, NDArray[np.float64]]:
    """The parts of several slides' estimates one after the other, each (N,) float64."""
    return {
        name: np.concatenate([np.asarray(estimate.parts[name], np.float64) for estimate in estimates])
        for name in estimates[0].parts
    }


def metric_columns() -> list[ColumnSpec]:
    """Every metric's column in the order of the table, without the ends of intervals."""
    return [column for _, family in families() for column in family.columns]


def with_intervals(columns: list[ColumnSpec]) -> list[ColumnSpec]:
    """The same columns, each followed by those of its interval's ends."""
    out = []
    for column in columns:
        out.append(column)
        for name, end in zip(column.interval or (), ("lower", "upper"), strict=False):
            out.append(
                ColumnSpec(
                    name,
                    column.unit,
                    "interval",
                    f"{end} end of the 95 % interval of {column.name}",
                    source=column.source,
                    needs=column.needs,
                )
            )
    return out
