"""The registry of metrics. A family is one file in ``families/``; nothing else is edited to add one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate
from tme.registry import Registry

BY_OTHERS = 1000


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
    """

    columns: tuple[ColumnSpec, ...]
    measure: Callable[[Scope], Mapping[str, Estimate]]
    order: int = BY_OTHERS
    withhold: Callable[[Scope, Mapping[str, Estimate]], str] | None = None


METRICS: Registry[Family] = Registry("metric family", "tme.metrics.families", "tme.metrics")


def families() -> list[tuple[str, Family]]:
    """(name, family) in the order of the table."""
    return sorted(METRICS.items(), key=lambda item: (item[1].order, item[0]))


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
