"""The values of the metrics room: what a column means, one number with its uncertainty, one slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tme.metrics.spill import WHOLE, Shares
from tme.stains.types import Stain

Value = float | int | str | None
Kind = Literal[
    "count density",
    "positive",
    "bounded",
    "index",
    "count",
    "interval",
    "key",
    "qc",
    "change",
    "object",
    "outcome",
    "test",
]
Needs = Literal["any", "cells", "til", "positive", "vessels", "dab"]

CHANGE_KINDS: tuple[Kind, ...] = ("count density", "positive", "bounded", "index")
NEEDS_TEXT: dict[Needs, str] = {
    "any": "every stain",
    "cells": "stains whose cells are counted",
    "til": "H&E, and stains whose positive cell is a TIL (CD3, CD8)",
    "positive": "immunohistochemistry whose cells are counted (CD3, CD8, KI67)",
    "vessels": "vessel stains (CD31, CD34)",
    "dab": "immunohistochemistry (CD3, CD8, KI67, CD31, CD34)",
}


@dataclass(frozen=True)
class ColumnSpec:
    """What a column means; the data dictionary and `explain` print it.

    Attributes
    ----------
    name, unit : str
        ``unit`` is empty for a plain number or text.
    kind : str
        How its change is judged; see `CHANGE_KINDS`. The others have no change.
    definition, formula, source : str
        One sentence; arithmetic; paper or document.
    caveats : tuple of str
        When the number misleads.
    needs : str
        The stains it exists for; a key of `NEEDS_TEXT`.
    interval : pair of str, optional
        Names of the columns with the ends of its 95 % interval, which follow it in the table.
    """

    name: str
    unit: str
    kind: Kind
    definition: str
    formula: str = ""
    source: str = ""
    caveats: tuple[str, ...] = ()
    needs: Needs = "any"
    interval: tuple[str, str] | None = None

    def applies(self, stain: Stain) -> bool:
        """Whether slides of ``stain`` have this metric."""
        cells = "cells" in stain.targets
        return {
            "any": True,
            "cells": cells,
            "til": cells and (stain.kind == "he" or stain.til_marker),
            "positive": cells and stain.kind == "dab",
            "vessels": "vessels" in stain.targets,
            "dab": stain.kind == "dab",
        }[self.needs]

    @property
    def target(self) -> str:
        """What must have been segmented: ``cells``, ``vessels`` or nothing."""
        if self.needs in ("cells", "til", "positive"):
            return "cells"
        return "vessels" if self.needs == "vessels" else ""


def key_column(name: str, definition: str, unit: str = "") -> ColumnSpec:
    """A column that says which row this is; tables with the same key say the same of it."""
    return ColumnSpec(name, unit, "key", definition)


@dataclass(frozen=True)
class BlockSums:
    """A ratio by blocks: ``scale`` · Σ numerator / Σ denominator.

    For a count density the numerator is the count and the denominator the area in mm², and ``shares`` says
    what its blocks hold of a cluster.
    """

    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    scale: float = 1.0
    shares: Shares = WHOLE


@dataclass(frozen=True)
class Spread:
    """A distribution by its quantiles, so that slides can be pooled without averaging.

    Attributes
    ----------
    level : float
        The quantile that is the metric, 0-1.
    points : tuple of float
        Quantiles at evenly spaced levels from 0 to 1.
    weight : float
        What the distribution weighs in a pool: objects or mm².
    """

    level: float
    points: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Estimate:
    """One metric of one compartment.

    Attributes
    ----------
    value : float, int, str or None
        None where it cannot be told; the note says why.
    ci_low, ci_high : float or None
        95 % interval, in the metric's unit.
    n : int or None
        Objects behind it.
    phi : float or None
        Overdispersion, for count densities.
    n_blocks : int or None
        Blocks behind the interval.
    se : float or None
        Block-bootstrap standard error: of log2 for *positive*, else in the metric's unit.
    note : str
    sums, spread
        What a pool of slides needs.
    parts : dict of str to tuple of float
        What else its family needs for that: numbers by block, square or field.
    fields : tuple of (x_um, y_um, radius_um)
        Circles the number was read from, for overlays.
    """

    value: Value
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    phi: float | None = None
    n_blocks: int | None = None
    se: float | None = None
    note: str = ""
    sums: BlockSums | None = None
    spread: Spread | None = None
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fields: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Compartment:
    """Numbers of one slide in one compartment.

    Attributes
    ----------
    area_mm2 : float
        Evaluable area.
    n_nuclei : int or None
        None where cells were not counted.
    reasons : dict of str to tuple of str
        Target (``cells``, ``vessels``, or empty for both) -> why its changes are withheld.
    estimates : dict of str to Estimate
        By column.
    """

    area_mm2: float
    n_nuclei: int | None
    reasons: Mapping[str, tuple[str, ...]]
    estimates: Mapping[str, Estimate]

    def reasons_for(self, target: str) -> tuple[str, ...]:
        """Why changes of metrics of this target are withheld; empty where they are not."""
        own = self.reasons.get(target, ()) if target else ()
        return self.reasons.get("", ()) + own


@dataclass(frozen=True)
class Measurements:
    """All numbers of one slide; saved as ``measurements.json``.

    Attributes
    ----------
    stain : str
    targets : tuple of str
        What the stain counts.
    keys : dict
        Key and QC columns of the slide's rows.
    areas : dict
        The columns that describe the slide's tissue, the same in each of its rows.
    compartments : dict of str to Compartment
        ``evaluable`` first.
    settings : dict
        The `MetricSettings` behind the numbers, which the change needs again.
    """

    stain: str
    targets: tuple[str, ...]
    keys: Mapping[str, Any]
    areas: Mapping[str, Any]
    compartments: Mapping[str, Compartment]
    settings: Mapping[str, Any]
