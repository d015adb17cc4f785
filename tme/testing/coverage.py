"""How often intervals hold, and calls are false, on simulated clustered patterns in biopsy-shaped masks.

``python -m tme.testing.coverage --output docs`` writes ``docs/coverage.csv`` and ``docs/images/power.png``
(about four minutes on one core). Blocks, φ, intervals and calls are the functions a run uses; only the
segmentation is left out. ``--strips`` takes the estimator before ADR 11 in their place, for comparison.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tme.change.compare import call, change_values
from tme.change.pool import Side
from tme.change.repeatability import between_variance
from tme.change.repeats import BLOCK, repeat
from tme.change.types import DECREASE, INCREASE, NOT_EVALUABLE
from tme.config import ChangeSettings, MetricSettings
from tme.metrics import metric_columns
from tme.metrics.blocks import Blocks, make_blocks
from tme.metrics.intervals import count_density, density_interval, overdispersion
from tme.metrics.measure import area_reason
from tme.metrics.types import ColumnSpec
from tme.tables import significant, write_csv
from tme.testing.patterns import MASKS, Cells, log_gaussian, matern, thomas, tissue_of
from tme.testing.strips import strip_blocks

METRIC, STAIN = "til_density_per_mm2", "CD8"
SETTINGS = MetricSettings()
AS_SHIPPED = ChangeSettings()
CALLED = (INCREASE, DECREASE)
BETWEEN_REPEATS = 0.3
"""SD between repeats of one lesion, log2, where calls with a coefficient from repeats are tried out."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What is simulated; equal on both sides of a pair but for ``fold``.

    Attributes
    ----------
    process : {"thomas", "matern", "log-gaussian"}
    mask : str
        A key of `MASKS`.
    area_mm2 : float
    expected : float
        Cells expected before.
    phi : float
        Variance over mean of a count in a large area.
    spread_um : float
        Standard deviation (Thomas), radius (Matérn), correlation length (log-Gaussian) of clusters.
    fold : float
        True density after over before.
    between : float
        SD of the true log2 density of a sample about that of its lesion.
    """

    process: str
    mask: str
    area_mm2: float
    expected: float
    phi: float
    spread_um: float
    fold: float = 1.0
    between: float = 0.0


@dataclass(frozen=True)
class Result:
    """Shares over the pairs of a setting.

    Attributes
    ----------
    phi_in_mask : float
        Variance over mean of the count in this mask: less than φ where clusters reach out of it.
    blocks : int
    fc_covered, density_covered : float
        95 % intervals of log2fc and of the density before that hold the truth.
    called : float
        Increase or decrease with `rc_log2` as shipped (1.0).
    called_rc : float
        The same with the coefficient that follows from ``between``: counting error alone where that is 0.
    not_evaluable : float
    reach_log2 : float
        Median half width of the interval of log2fc.
    """

    phi_in_mask: float
    blocks: int
    fc_covered: float
    density_covered: float
    called: float
    called_rc: float
    not_evaluable: float
    reach_log2: float


def simulate(setting: Setting, pairs: int, seed: int, strips: bool = False) -> Result:
    """Simulate pairs of one setting and judge them as a run would.

    Parameters
    ----------
    setting : Setting
    pairs : int
    seed : int
    strips : bool
        Blocks and φ as they were before ADR 11.
    """
    mask = MASKS[setting.mask](setting.area_mm2)
    if strips:
        blocks = strip_blocks(mask, tissue_of(mask), SETTINGS.block_mm2)
    else:
        blocks = make_blocks(mask, tissue_of(mask), SETTINGS.block_mm2, SETTINGS.cluster_um)
    generator = np.random.default_rng([seed, *_numbers(setting)])
    pre = _counts(setting, 1.0, mask, blocks, pairs, generator)
    post = _counts(setting, setting.fold, mask, blocks, pairs, generator)
    judged = [_judge(a, b, setting, blocks, strips) for a, b in zip(pre, post, strict=True)]
    totals = pre.sum(axis=1)
    share = {name: float(np.mean([one[name] for one in judged])) for name in judged[0] if name != "reach"}
    return Result(
        phi_in_mask=float(totals.var() / totals.mean()),
        blocks=blocks.count,
        reach_log2=float(np.median([one["reach"] for one in judged])),
        **share,
    )


def recovered(setting: Setting, lesions: int, seed: int) -> tuple[float, float, float]:
    """s_b² with its interval, log2², from lesions sampled twice, whose true value is ``between``²."""
    mask = MASKS[setting.mask](setting.area_mm2)
    blocks = make_blocks(mask, tissue_of(mask), SETTINGS.block_mm2, SETTINGS.cluster_um)
    generator = np.random.default_rng([seed, *_numbers(setting)])
    area = float(blocks.areas_mm2.sum())
    samples = [_counts(setting, 1.0, mask, blocks, lesions, generator) for _ in range(2)]
    found = [
        [repeat(_side(counts, area, blocks, False), _metric(), BLOCK) for counts in one] for one in samples
    ]
    pairs = [(one, other) for one, other in zip(*found, strict=True) if one is not None and other is not None]
    return between_variance(pairs)


def _numbers(setting: Setting) -> list[int]:
    """The setting as a seed: settings do not share random numbers."""
    values = asdict(setting).values()
    return [round(1000 * value) if isinstance(value, float) else sum(value.encode()) for value in values]


def _counts(
    setting: Setting,
    fold: float,
    mask: NDArray[np.bool_],
    blocks: Blocks,
    pairs: int,
    generator: np.random.Generator,
) -> Numbers:
    """(pairs, B) float64 cells by block."""
    expected = setting.expected * fold * 2 ** (setting.between * generator.normal(size=pairs))
    process = {"thomas": thomas, "matern": matern, "log-gaussian": log_gaussian}[setting.process]
    cells: Cells = process(mask, expected, setting.phi, setting.spread_um, generator)
    places = cells.pattern * blocks.count + blocks.labels[cells.row, cells.column]
    return np.bincount(places, minlength=pairs * blocks.count).reshape(pairs, -1).astype(np.float64)


def _judge(pre: Numbers, post: Numbers, setting: Setting, blocks: Blocks, strips: bool) -> dict[str, Any]:
    """Whether the intervals of one pair hold the truth, and what is called."""
    area = float(blocks.areas_mm2.sum())
    sides = [_side(counts, area, blocks, strips) for counts in (pre, post)]
    values = change_values(sides[0], sides[1], _metric(), STAIN, AS_SHIPPED)
    low, high = values["log2fc_ci_low"], values["log2fc_ci_high"]
    reach = (high - low) / 2
    evaluable = values["change_call"] != NOT_EVALUABLE
    own_rc = 1.96 * math.sqrt(2) * setting.between
    return {
        "fc_covered": low <= math.log2(setting.fold) <= high,
        "density_covered": _holds(sides[0], setting.expected / area),
        "called": values["change_call"] in CALLED,
        "called_rc": evaluable and call(values["log2fc"], reach, own_rc) in CALLED,
        "not_evaluable": not evaluable,
        "reach": reach,
    }


def _holds(side: Side, density: float) -> bool:
    return side.low is not None and side.high is not None and side.low <= density <= side.high


@cache
def _metric() -> ColumnSpec:
    return next(column for column in metric_columns() if column.name == METRIC)


def _side(counts: Numbers, area: float, blocks: Blocks, strips: bool) -> Side:
    """What `tme.change.pool` makes of one slide with these counts."""
    prior = SETTINGS.overdispersion_prior
    density = count_density(counts, blocks.areas_mm2, prior, blocks.spill)
    low, high = density.low, density.high
    phi, _ = overdispersion(counts, blocks.areas_mm2, prior, blocks.spill)
    if strips:
        phi = density.phi
        low, high = density_interval(float(counts.sum()), area, phi, blocks.count)
    reason = area_reason(area, SETTINGS.min_area_mm2)
    return Side(
        density.value,
        low,
        high,
        int(counts.sum()),
        area,
        phi,
        blocks=float(blocks.count),
        reasons=(reason,) if reason else (),
    )


def table_settings() -> Iterator[Setting]:
    """The settings of ``coverage.csv``: those with a bound, other kinds of clusters, repeats."""
    for mask, area, expected in product(MASKS, (1.0, 3.0, 12.0), (50.0, 300.0)):
        yield Setting("thomas", mask, area, expected, 1.0, 0.0)
        for phi, spread in product((3.0, 9.0), (50.0, 150.0)):
            yield Setting("thomas", mask, area, expected, phi, spread)
    for mask in MASKS:
        yield Setting("thomas", mask, 0.8, 50.0, 3.0, 50.0)
    others = [("thomas", 25.0), ("thomas", 200.0), ("matern", 100.0), ("matern", 300.0)]
    others += [("log-gaussian", 50.0), ("log-gaussian", 100.0)]
    for mask, (process, spread) in product(MASKS, others):
        yield Setting(process, mask, 3.0, 300.0, 6.0, spread)
    for mask, expected, phi in product(MASKS, (50.0, 300.0), (3.0, 9.0)):
        yield Setting("thomas", mask, 3.0, expected, phi, 100.0, between=BETWEEN_REPEATS)


def power_settings() -> Iterator[Setting]:
    """The settings of the power curves: a core, Thomas clusters of 100 µm."""
    for area, phi, expected in product((3.0, 12.0), (3.0, 9.0), (50.0, 150.0, 500.0)):
        for log2_fold in np.arange(0, 4.01, 0.5):
            yield Setting("thomas", "core", area, expected, phi, 100.0, float(2**log2_fold))


def write_table(path: Path, settings: Sequence[Setting], pairs: int, seed: int, strips: bool) -> None:
    """One row per setting, figures to three digits."""
    rows = []
    for setting in settings:
        result = asdict(simulate(setting, pairs, seed, strips))
        numbers = {name: significant(value, 4) for name, value in result.items() if isinstance(value, float)}
        rows.append({**asdict(setting), "pairs": pairs, **result, **numbers})
        print(*(rows[-1].values()), flush=True)
    names = [item.name for item in fields(Setting)] + ["pairs"] + [item.name for item in fields(Result)]
    write_csv(path, names, rows)


def draw_power(path: Path, pairs: int, seed: int) -> None:
    """Share of pairs called an increase against the true fold change, four panels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves: dict[tuple[float, float, float], list[tuple[float, float]]] = {}
    for setting in power_settings():
        found = simulate(setting, pairs, seed)
        key = setting.area_mm2, setting.phi, setting.expected
        curves.setdefault(key, []).append((setting.fold, found.called))
    panels = sorted({key[:2] for key in curves})
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 3.4), sharey=True, constrained_layout=True)
    for axis, (area, phi) in zip(axes, panels, strict=True):
        for (own_area, own_phi, expected), points in curves.items():
            if (own_area, own_phi) == (area, phi):
                axis.plot(*zip(*points, strict=True), label=f"{expected:.0f} cells before")
        axis.axhline(0.8, color="#7d8993", linewidth=0.8, linestyle=":")
        axis.set_xscale("log", base=2)
        axis.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
        axis.set_title(f"core of {area:.0f} mm², φ {phi:.0f}", fontsize=10)
        axis.set_xlabel("true fold change")
    axes[0].set_ylabel("called increase")
    axes[0].legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs"))
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strips", action="store_true")
    asked = parser.parse_args()
    name = "coverage-strips.csv" if asked.strips else "coverage.csv"
    write_table(asked.output / name, list(table_settings()), asked.pairs, asked.seed, asked.strips)
    if not asked.strips:
        draw_power(asked.output / "images" / "power.png", asked.pairs // 4, asked.seed)


if __name__ == "__main__":
    main()
