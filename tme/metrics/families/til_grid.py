"""How unevenly TILs lie over the section, each index beside its value for TILs strewn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tme.config import MetricSettings
from tme.metrics.bootstrap import (
    CHUNK_VALUES,
    bounded_estimate,
    draws,
    index_estimate,
    seeded,
    weighted_quantile,
)
from tme.metrics.family import METRICS, Family, joined_parts
from tme.metrics.intervals import Information
from tme.metrics.scope import Objects, Scope
from tme.metrics.squares import make_squares
from tme.metrics.types import ColumnSpec, Estimate
from tme.metrics.unevenness import getis_ord, gini, morisita_horn, queen_neighbours
from tme.units import mm2_to_um2

Numbers = NDArray[np.float64]
SQUARE_MM2 = 0.25
LEAST_EVALUABLE = 0.5
MIN_SQUARES = 30
HOT_Z = 2.58
P90 = 0.9
PATTERNS = 99
"""Random patterns: the observed one and 99 others make a Monte Carlo test at one in a hundred."""
RANGE = (0.025, 0.975)

P90_NAME = "til_density_p90_per_mm2"
GINI_NAME = "til_gini"
HOTSPOT_NAME = "til_hotspot_area_pct"
OVERLAP_NAME = "til_tumour_morisita"
SQUARES_TEXT = "squares of 0.25 mm² from the slide's corner on, each at least half evaluable and 30 or more"
TOGETHER = "several slides: over the squares of all"
CHANCE = "Few TILs are uneven by chance alone: read it beside {}."
SETTLED = "Its interval does not know that the hotspots would lie elsewhere on another section."


def _random_column(of: str, unit: str, more: str = "") -> ColumnSpec:
    """The column beside ``of`` for random patterns."""
    name = f"{of}_random"
    return ColumnSpec(
        name,
        unit,
        "qc",
        f"value of {of} for as many TILs strewn at random over the same squares{more}",
        f"mean of {PATTERNS} seeded patterns, each TIL uniform over the squares' evaluable area; the "
        "interval holds 95 % of the patterns",
        "Monte Carlo test: Besag and Diggle 1977, Appl Stat 26:327",
        needs="til",
        interval=(f"{name}_low", f"{name}_high"),
    )


COLUMNS = (
    ColumnSpec(
        P90_NAME,
        "/mm²",
        "index",
        "density of TILs that nine tenths of the section's squares do not exceed",
        f"90th percentile of n_til / evaluable area over {SQUARES_TEXT}; {TOGETHER}",
        "Saltz 2018, Cell Rep 23:181 (maps of TILs by squares)",
        (
            CHANCE.format(f"{P90_NAME}_random"),
            "An upper percentile: it follows til_density_per_mm2 as much as the unevenness.",
        ),
        "til",
    ),
    _random_column(P90_NAME, "/mm²"),
    ColumnSpec(
        GINI_NAME,
        "",
        "index",
        "unevenness of the density of TILs between squares: 0 the same everywhere, towards 1 all in one",
        f"Σ_i Σ_j |x_i − x_j| / (2 n² x̄), x the density of TILs in {SQUARES_TEXT}; {TOGETHER}",
        "Gini 1912, Variabilità e mutabilità",
        (
            CHANCE.format(f"{GINI_NAME}_random"),
            "Says nothing of where the TILs lie: one hotspot and many scattered squares can give the same.",
        ),
        "til",
    ),
    _random_column(GINI_NAME, ""),
    ColumnSpec(
        HOTSPOT_NAME,
        "%",
        "index",
        "share of the squares' evaluable area that lies in hotspots of TILs",
        f"100 · Σ area of squares with Getis and Ord's G* z ≥ {HOT_Z} / Σ area; x the density of TILs, w = 1 "
        f"for a square and the eight around it; {SQUARES_TEXT}; several slides: sums of both areas, each hot "
        "against its own section",
        "Getis and Ord 1992, Geogr Anal 24:189; Ord and Getis 1995, Geogr Anal 27:286; of lymphocytes "
        "Nawaz 2015, Mod Pathol 28:766",
        (
            "Hot against the rest of the same section: an evenly rich section has no hotspot.",
            f"About one square in a hundred is hot by chance: read it beside {HOTSPOT_NAME}_random.",
            SETTLED,
        ),
        "til",
    ),
    _random_column(HOTSPOT_NAME, "%"),
    ColumnSpec(
        OVERLAP_NAME,
        "",
        "index",
        "how far TILs and the other nuclei share the same squares: 0 never, 1 in the same proportions",
        "2 Σ x_i y_i / ((Σ x_i²/X² + Σ y_i²/Y²) X Y), x and y the numbers of TILs and of all other nuclei in "
        f"{SQUARES_TEXT}; {TOGETHER}",
        "Horn 1966, Am Nat 100:419; Maley 2015, Breast Cancer Res 17:131",
        (
            "The other nuclei are those of stroma and vessels too, not of tumour cells alone.",
            "Squares that are evaluable in part hold less of both, which raises it: read it beside "
            f"{OVERLAP_NAME}_random.",
            "Squares of 500 µm: TILs around a nest of tumour cells count as mixed with it.",
        ),
        "til",
    ),
    _random_column(OVERLAP_NAME, "", ", the other nuclei as they are"),
)
NAMES = (P90_NAME, GINI_NAME, HOTSPOT_NAME, OVERLAP_NAME)
HIGHEST = {P90_NAME: np.inf, GINI_NAME: 1.0, OVERLAP_NAME: 1.0}
"""Those that are a number of the squares however often each is taken, with the highest they can be."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The squares of a compartment that are at least half evaluable.

    Attributes
    ----------
    areas_mm2 : (N,) float64
        Evaluable area of each.
    neighbours : (N, 9) int64
        As from `queen_neighbours`.
    group : (N,) int64
        Number of the block of squares, of about ``block_mm2``, that the bootstrap draws together.
    tils, others : (N,) float64
        TILs and other nuclei in each.
    """

    areas_mm2: Numbers
    neighbours: NDArray[np.int64]
    group: NDArray[np.int64]
    tils: Numbers
    others: Numbers

    def parts(self, name: str) -> dict[str, Numbers]:
        """What one of `HIGHEST` is made of, each (N,) float64."""
        beside = {"others": self.others} if name == OVERLAP_NAME else {"areas_mm2": self.areas_mm2}
        return {"tils": self.tils, **beside, "group": self.group.astype(np.float64)}

    def by_group(self, values: Numbers) -> Numbers:
        """(B,) float64 sums of values (N,) over the squares of each group."""
        return np.bincount(self.group, values).astype(np.float64)

    def hot(self, tils: Numbers) -> Numbers:
        """(..., N) float64: 1 for a hotspot, else 0, for numbers of TILs (..., N)."""
        return (getis_ord(tils / self.areas_mm2, self.neighbours) >= HOT_Z).astype(np.float64)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    stain = scope.context.stain
    if scope.cells is None or scope.area_mm2 <= 0 or not (stain.kind == "he" or stain.til_marker):
        return {}
    grid = make_grid(scope, scope.cells)
    count = len(grid.areas_mm2)
    if count < MIN_SQUARES:
        note = f"only {count} squares of {SQUARE_MM2:g} mm² are half evaluable; {MIN_SQUARES} are needed"
        return dict.fromkeys(NAMES, Estimate(None, n=int(grid.tils.sum()), note=note))
    return {**_observed(grid, scope.settings), **_random(grid, scope.settings)}


def make_grid(scope: Scope, cells: Objects) -> Grid:
    """The squares of a compartment that are at least half evaluable, with what lies in them."""
    tissue = scope.context.tissue
    squares = make_squares(scope.mask, tissue, mm2_to_um2(SQUARE_MM2) ** 0.5)
    chosen = squares.areas_mm2 >= LEAST_EVALUABLE * SQUARE_MM2
    places = squares.at(cells.x_um, cells.y_um, tissue)
    tils = squares.sums(places, cells.weight * cells.flags("is_til"))[chosen]
    others = squares.sums(places, cells.weight * ~cells.flags("is_til"))[chosen]
    rows, columns = np.nonzero(chosen)
    side = max(1, round((scope.settings.block_mm2 / SQUARE_MM2) ** 0.5))
    _, group = np.unique(rows // side * squares.areas_mm2.shape[1] + columns // side, return_inverse=True)
    return Grid(squares.areas_mm2[chosen], queen_neighbours(rows, columns), group, tils, others)


def _observed(grid: Grid, settings: MetricSettings) -> dict[str, Estimate]:
    number = int(grid.tils.sum())
    found = {name: _index_estimate(name, grid.parts(name), number, settings) for name in HIGHEST}
    area = grid.by_group(grid.areas_mm2)
    hot_area = grid.by_group(grid.areas_mm2 * grid.hot(grid.tils))
    found[HOTSPOT_NAME] = bounded_estimate(HOTSPOT_NAME, hot_area, area, number, settings)
    return {name: _known(estimate, grid) for name, estimate in found.items()}


def pool(
    name: str, estimates: Sequence[Estimate], settings: MetricSettings, information: Information
) -> Estimate:
    """An index over the squares of all slides together."""
    parts = joined_parts(estimates)
    groups, before = [], 0.0
    for estimate in estimates:
        # Blocks of two slides are two blocks, though both are numbered from 0.
        groups.append(np.asarray(estimate.parts["group"]) + before)
        before = groups[-1].max() + 1
    parts["group"] = np.concatenate(groups)
    return _index_estimate(name, parts, int(parts["tils"].sum()), settings, information)


def _index_estimate(
    name: str,
    parts: Mapping[str, Numbers],
    number: int,
    settings: MetricSettings,
    information: Information | None = None,
) -> Estimate:
    """One of `HIGHEST` from its `Grid.parts`, of ``number`` TILs."""
    group = parts["group"].astype(np.int64)
    count, blocks = len(group), int(group.max()) + 1
    drawn = draws(blocks, settings.bootstrap, settings.seed, "til_grid")
    step = max(1, CHUNK_VALUES // count)
    starts = range(0, len(drawn), step)
    replicates = np.concatenate([_index(name, parts, drawn[start : start + step, group]) for start in starts])
    (value,) = _index(name, parts, np.ones((1, count)))
    estimate = index_estimate(float(value), replicates, number, blocks, HIGHEST[name], information)
    return replace(estimate, parts={key: tuple(values.tolist()) for key, values in parts.items()})


def _index(name: str, parts: Mapping[str, Numbers], weights: Numbers) -> Numbers:
    """(R,) float64: an index with each square taken as often as the weights (R, N) say."""
    if name == OVERLAP_NAME:
        return morisita_horn(parts["tils"], parts["others"], weights)
    density = parts["tils"] / parts["areas_mm2"]
    if name == GINI_NAME:
        return gini(density, weights)
    order = np.argsort(density, kind="stable")
    return weighted_quantile(density[order], weights[:, order], P90)


def _known(estimate: Estimate, grid: Grid) -> Estimate:
    """The estimate, or none with the reason where the index does not exist."""
    if isinstance(estimate.value, float) and np.isfinite(estimate.value):
        return estimate
    note = "no other nucleus in the squares" if grid.tils.any() else "no TIL in the squares"
    return Estimate(None, n=estimate.n, n_blocks=estimate.n_blocks, note=note)


def _random(grid: Grid, settings: MetricSettings) -> dict[str, Estimate]:
    """Mean and 95 % range of the indices of random patterns, by column."""
    # Points uniform over the area fall into the squares by their areas' shares: no need to place them.
    chances = grid.areas_mm2 / grid.areas_mm2.sum()
    number = int(grid.tils.sum())
    tils = seeded(settings.seed, "til_grid_random").multinomial(number, chances, PATTERNS).astype(np.float64)
    density = tils / grid.areas_mm2
    once = np.ones((1, len(chances)))
    patterns = {
        P90_NAME: np.array([weighted_quantile(row, once, P90)[0] for row in np.sort(density, axis=1)]),
        GINI_NAME: gini(density),
        HOTSPOT_NAME: 100 * grid.hot(tils) @ chances,
        OVERLAP_NAME: morisita_horn(tils, grid.others),
    }
    found = {}
    for name, values in patterns.items():
        if np.isfinite(values).all():
            low, high = np.quantile(values, RANGE)
            found[f"{name}_random"] = Estimate(float(values.mean()), float(low), float(high), number)
    return found


METRICS.add("til_grid", Family(COLUMNS, measure, order=50, pool=pool))
