"""Two pooled sides -> the change, its interval, and whether it can be called one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tme.change.pool import Side
from tme.change.types import DECREASE, INCREASE, NOT_EVALUABLE, WITHIN_NOISE
from tme.config import ChangeSettings
from tme.metrics.intervals import Z, t_quantile
from tme.metrics.types import ColumnSpec

DEFAULT_RC_LOG2 = 1.0
CALLED_KINDS = ("count density", "positive")
LN_FOLD_CHANGE = 0.9
LN_ON_TREATMENT_DENSITY = 6.2


@dataclass(frozen=True)
class FoldChange:
    """log2 fold change with its standard error and degrees of freedom; why it is missing."""

    log2fc: float | None = None
    se: float | None = None
    degrees: float = 1.0
    missing: str = ""

    @property
    def reach(self) -> float | None:
        """Half the width of the 95 % interval."""
        return None if self.se is None else t_quantile(self.degrees) * self.se


def fold_change(pre: Side, post: Side, kind: str) -> FoldChange:
    """log2 fold change of a count density or a positive metric; nothing for other kinds."""
    degrees = max(pre.blocks + post.blocks - 2, 1.0)
    if kind == "count density":
        return _of_counts(pre, post, degrees)
    if kind == "positive":
        return _of_positive(pre, post, degrees)
    return FoldChange()


def _of_counts(pre: Side, post: Side, degrees: float) -> FoldChange:
    if not (pre.area_mm2 and post.area_mm2) or pre.n is None or post.n is None:
        return FoldChange(missing="no area to count on")
    a, b = pre.n + 0.5, post.n + 0.5
    log2fc = math.log2(b / post.area_mm2) - math.log2(a / pre.area_mm2)
    variance = sum((1.0 if side.phi is None else side.phi) / n for side, n in ((pre, a), (post, b)))
    # The interval is never narrower than that of two Poisson counts.
    least = (Z / t_quantile(degrees)) ** 2 * (post.least_phi / b + pre.least_phi / a)
    return FoldChange(log2fc, math.sqrt(max(variance, least)) / math.log(2), degrees)


def _of_positive(pre: Side, post: Side, degrees: float) -> FoldChange:
    if pre.value is None or post.value is None:
        return FoldChange(missing="a value is missing")
    if pre.value <= 0 or post.value <= 0:
        return FoldChange(missing="no ratio to 0")
    log2fc = math.log2(post.value) - math.log2(pre.value)
    if pre.se is None or post.se is None:
        return FoldChange(log2fc, missing="no interval")
    return FoldChange(log2fc, math.hypot(pre.se, post.se), degrees)


def difference(pre: Side, post: Side) -> tuple[float | None, float | None, float | None]:
    """Absolute change and its 95 % interval from those of both sides (Zou and Donner 2008)."""
    if pre.value is None or post.value is None:
        return None, None, None
    delta = post.value - pre.value
    if pre.low is None or pre.high is None or post.low is None or post.high is None:
        return delta, None, None
    down = math.hypot(post.value - post.low, pre.high - pre.value)
    up = math.hypot(post.high - post.value, pre.value - pre.low)
    return delta, delta - down, delta + up


def repeatability(metric: str, stain: str, settings: ChangeSettings) -> tuple[float, str]:
    """(rc_log2, rc_source): the config's ``STAIN.metric`` or ``metric``, that from repeats, the default."""
    named = f"{stain}.{metric}"
    for key in (named, metric):
        if key in settings.rc_log2:
            return settings.rc_log2[key], "config"
    if named in settings.repeats:
        return settings.repeats[named], "repeats"
    return DEFAULT_RC_LOG2, "default"


def call(log2fc: float, reach: float, rc_log2: float) -> str:
    """Increase or decrease when |log2fc| > √(rc² + (t·se)²)."""
    if abs(log2fc) <= math.hypot(rc_log2, reach):
        return WITHIN_NOISE
    return INCREASE if log2fc > 0 else DECREASE


def change_values(
    pre: Side, post: Side, metric: ColumnSpec, stain: str, settings: ChangeSettings
) -> dict[str, Any]:
    """The columns of a pair from ``delta_abs`` to ``change_call``, ``degrees``, and notes under ``why``."""
    delta, low, high = difference(pre, post)
    out: dict[str, Any] = {"delta_abs": delta, "delta_ci_low": low, "delta_ci_high": high, "why": ()}
    if metric.kind not in CALLED_KINDS:
        return out
    change = fold_change(pre, post, metric.kind)
    rc_log2, source = repeatability(metric.name, stain, settings)
    out |= {"log2fc": change.log2fc, "log2fc_se": change.se, "rc_log2": rc_log2, "rc_source": source}
    reach = change.reach
    if change.log2fc is not None and reach is not None:
        out |= {
            "log2fc_ci_low": change.log2fc - reach,
            "log2fc_ci_high": change.log2fc + reach,
            "degrees": change.degrees,
        }
    if pre.reasons or post.reasons or change.log2fc is None or reach is None:
        why = (change.missing,) if change.missing and not (pre.reasons or post.reasons) else ()
        return out | {"change_call": NOT_EVALUABLE, "why": why}
    return out | {"change_call": call(change.log2fc, reach, rc_log2)}


def dejardin(metric: ColumnSpec, stain: str, values: dict[str, Any], post: Side) -> dict[str, bool]:
    """The two thresholds of Dejardin 2024, for an evaluable change of CD8 density; else nothing."""
    if stain != "CD8" or metric.name != "til_density_per_mm2":
        return {}
    if values.get("change_call") in (None, NOT_EVALUABLE) or post.value is None:
        return {}
    return {
        "fc_ge_2p5": values["log2fc"] * math.log(2) >= LN_FOLD_CHANGE,
        "otd_ge_500": post.value > 0 and math.log(post.value) >= LN_ON_TREATMENT_DENSITY,
    }
