"""The report's charts for a paper, as SVG and PDF, drawn by matplotlib from the same places as the page."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tme.change.types import NOT_EVALUABLE, WITHIN_NOISE
from tme.overlay.palette import BLACK, BLUE, BLUISH_GREEN, ORANGE, VERMILLION
from tme.report.artefacts import Run
from tme.report.changes import Section, section
from tme.report.forest import Effect, Forest, forests
from tme.report.numbers import MISSING
from tme.report.slope import Slope
from tme.report.survival import Curve, KaplanMeier, kaplan_meiers
from tme.report.waterfall import NO_RESPONSE, NOT_RESPONDED, RESPONDED, Bar, Waterfall
from tme.safety import slug
from tme.store import need_folder, write_bytes

GREY = "#7d8993"
CALL_COLOURS = {
    "increase": VERMILLION,
    "decrease": BLUE,
    WITHIN_NOISE: GREY,
    NOT_EVALUABLE: GREY,
    "all": BLACK,
}
GROUP_COLOURS = {RESPONDED: BLUISH_GREEN, NOT_RESPONDED: ORANGE, NO_RESPONSE: "#9aa5ae"}
GROUP_TITLES = {RESPONDED: "CR or PR", NOT_RESPONDED: "SD or PD", NO_RESPONSE: "NE or not known"}
DASHES = {"decrease": "--", WITHIN_NOISE: "-."}
MOST_NAMES = 40
STYLE: Any = {
    "font.family": "sans-serif", "font.size": 8, "axes.titlesize": 9, "axes.titleweight": "bold",
    "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "legend.frameon": False, "legend.fontsize": 7, "svg.hashsalt": "tme", "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # A name such as $x$ is a name, not a formula.
    "text.parse_math": False, "savefig.bbox": "tight", "savefig.pad_inches": 0.05,
}  # fmt: skip
FORMATS: dict[str, tuple[Callable[[Figure], Any], dict[str, None]]] = {
    "svg": (FigureCanvasSVG, {"Date": None}),
    "pdf": (FigureCanvasPdf, {"CreationDate": None}),
}


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Write every chart of the report's primary metrics and tests into ``folder``.

    Parameters
    ----------
    run : Run
    folder : Path

    Returns
    -------
    list of Path
        SVG and PDF of each, one or two columns of a journal wide. The same run gives the same bytes.
    """
    need_folder(folder)
    # It tells of every glyph it leaves out of a font.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    written = []
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A script the fonts here do not have is shown as boxes; the page and its tables have the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, figure in _figures(run):
            for ending, (canvas, metadata) in FORMATS.items():
                stream = io.BytesIO()
                canvas(figure)
                figure.savefig(stream, format=ending, metadata=metadata)
                path = folder / f"{slug(name)}.{ending}"
                write_bytes(path, stream.getvalue())
                written.append(path)
    return written


def _figures(run: Run) -> Iterator[tuple[str, Figure]]:
    for name in run.config.change.primary_metrics:
        one = section(name, run)
        if one.slope is not None:
            yield f"{_stem(name)}-slope", _slope(one, one.slope, run.pair)
        if one.waterfall is not None:
            yield f"{_stem(name)}-waterfall", _waterfall(one, one.waterfall)
    if run.associated is not None:
        found = run.associated
        for panel in forests(found.tests, run.family):
            if not panel.empty:
                yield f"forest-{panel.test}", _forest(panel)
        for plot in kaplan_meiers(found.survival, found.tests):
            yield f"{_stem(plot.name)}-{plot.endpoint}", _kaplan_meier(plot)


def _stem(name: str) -> str:
    return name.replace(".", "-")


def _new(width_mm: float, height_mm: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_mm / 25.4, height_mm / 25.4))
    return figure, figure.subplots()


def _ticks(axis: Any, places: Sequence[tuple[float, str]]) -> None:
    axis.set_ticks([place for place, _ in places], labels=[text for _, text in places])


def _slope(one: Section, plot: Slope, pair: tuple[str, str]) -> Figure:
    figure, axes = _new(85, 75)
    axes.set_title(one.title, loc="left")
    axes.set_ylabel(one.unit)
    axes.set_ylim(plot.axis.low, plot.axis.high)
    axes.set_xlim(-0.1, 1.1)
    _ticks(axes.yaxis, plot.axis.ticks)
    axes.set_xticks([0, 1], labels=[name.replace("_", " ") for name in pair])
    for stroke in sorted(plot.strokes, key=lambda stroke: stroke.call in ("increase", "decrease")):
        colour = CALL_COLOURS.get(stroke.call, GREY)
        dash = ":" if stroke.call == NOT_EVALUABLE else "-"
        axes.plot([0, 1], [stroke.pre, stroke.post], color=colour, linestyle=dash, marker="o", ms=3, lw=1)
        if plot.labelled:
            axes.plot([1.03, 1.07], [stroke.post, stroke.label_at], color=GREY, lw=0.4, clip_on=False)
            axes.text(1.09, stroke.label_at, stroke.label, va="center", fontsize=7)
    if any(change["call"] for change in one.changes):
        lines: list[Any] = [
            Line2D([], [], color=CALL_COLOURS[call], label=call.replace("_", " "))
            for call in ("increase", "decrease", WITHIN_NOISE)
        ]
        lines.append(Line2D([], [], color=GREY, linestyle=":", label="not evaluable"))
        _legend(figure, lines)
    return figure


def _legend(figure: Figure, handles: Sequence[Any]) -> None:
    figure.legend(
        handles=list(handles), loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=4, columnspacing=1.2
    )


def _waterfall(one: Section, plot: Waterfall) -> Figure:
    figure, axes = _new(174 if len(plot.bars) > 12 else 110, 75)
    axes.set_title(one.title, loc="left")
    axes.set_ylabel("Change, fold" if plot.log2 else f"Change, {one.unit}".rstrip(", "))
    axes.set_ylim(plot.axis.low, plot.axis.high)
    axes.set_xlim(-0.8, len(plot.bars) - 0.2)
    _ticks(axes.yaxis, plot.axis.ticks)
    handles: list[Any] = []
    if plot.rc:
        axes.axhspan(-plot.rc, plot.rc, color=GREY, alpha=0.13, lw=0)
        handles.append(Patch(color=GREY, alpha=0.13, label="repeatability"))
    axes.axhline(0, color=BLACK, lw=0.6)
    for place, bar in enumerate(plot.bars):
        _bar(axes, place, bar, plot.by_response)
    if len(plot.bars) <= MOST_NAMES:
        axes.set_xticks(
            range(len(plot.bars)), labels=[bar.label for bar in plot.bars], rotation=70, fontsize=6
        )
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(plot.bars)} patients, largest rise first")
    if plot.by_response:
        handles = [
            *(Patch(color=GROUP_COLOURS[group], label=title) for group, title in GROUP_TITLES.items()),
            *handles,
        ]
    if plot.log2:
        handles.append(Patch(facecolor="none", edgecolor=GREY, hatch="////", label="within noise"))
    if handles:
        figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.98, 0.98), ncols=1)
    return figure


def _bar(axes: Axes, place: int, bar: Bar, by_response: bool) -> None:
    if bar.value is None:
        axes.plot(place, 0, marker="x", color=GREY, ms=4, mew=1)
        return
    colour = GROUP_COLOURS[bar.group] if by_response else CALL_COLOURS.get(bar.call, GREY)
    if bar.call == WITHIN_NOISE:
        axes.bar(place, bar.value, width=0.76, facecolor="none", edgecolor=colour, hatch="////", lw=0.7)
    else:
        axes.bar(place, bar.value, width=0.76, color=colour, edgecolor=colour, lw=0.7)
    if bar.low is not None and bar.high is not None:
        axes.plot([place, place], [bar.low, bar.high], color=BLACK, lw=0.7)


def _forest(panel: Forest) -> Figure:
    figure, axes = _new(174, 14 + 5.2 * len(panel.effects))
    axes.set_title(panel.title, loc="left")
    axes.set_xlim(panel.axis.low, panel.axis.high)
    axes.set_ylim(-len(panel.effects) + 0.4, 0.6)
    _ticks(axes.xaxis, panel.axis.ticks)
    axes.set_xlabel(f"← {panel.lower}      {panel.higher} →")
    axes.axvline(panel.none, color=GREY, lw=0.7, linestyle="--")
    labels = [(-float(row), effect.subset or effect.label) for row, effect in enumerate(panel.effects)]
    _ticks(axes.yaxis, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for row, effect in enumerate(panel.effects):
        _effect(axes, -row, effect)
    return figure


def _effect(axes: Axes, row: int, effect: Effect) -> None:
    axes.annotate(
        f"{effect.text}   n {effect.n}" + (f"   p {effect.p}" if effect.p != MISSING else ""),
        (1.02, row),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=7,
    )
    if effect.at is None:
        return
    known = effect.low is not None and effect.high is not None
    if effect.low is not None and effect.high is not None:
        axes.plot([effect.low, effect.high], [row, row], color=BLACK, lw=1)
    filled = known and not effect.subset
    axes.plot(
        effect.at,
        row,
        marker="s",
        ms=5 if filled else 4,
        color=BLACK,
        mfc=BLACK if filled else "white",
        mew=0.8,
    )


def _kaplan_meier(plot: KaplanMeier) -> Figure:
    figure, axes = _new(110, 85)
    last = max([*plot.times, *(day for curve in plot.curves for day in curve.days)])
    axes.set_title(plot.title, loc="left", pad=14)
    axes.set_ylim(-0.02, 1.03)
    axes.set_xlim(-0.02 * last, 1.03 * last)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100"])
    axes.set_ylabel("Without event, %")
    axes.set_xticks(plot.times)
    axes.set_xlabel("Days from the on-treatment biopsy")
    for row, curve in enumerate(plot.curves):
        _curve(axes, curve)
        _at_risk(axes, row, curve, plot.times)
    axes.annotate(
        "At risk", (-0.08, -0.25), xycoords="axes fraction", ha="right", fontsize=7, annotation_clip=False
    )
    axes.annotate(
        plot.hazard, (0, 1.0), xycoords="axes fraction", xytext=(0, 2), textcoords="offset points", fontsize=7
    )
    return figure


def _curve(axes: Axes, curve: Curve) -> None:
    colour = CALL_COLOURS[curve.group]
    axes.step(
        curve.days, curve.shares, where="post", color=colour, linestyle=DASHES.get(curve.group, "-"), lw=1.4
    )
    axes.fill_between(curve.days, curve.lows, curve.highs, step="post", color=colour, alpha=0.1, lw=0)
    axes.plot(
        [d for d, _ in curve.censored], [s for _, s in curve.censored], "|", color=colour, ms=5, mew=0.9
    )


def _at_risk(axes: Axes, row: int, curve: Curve, times: Sequence[int]) -> None:
    colour, place = CALL_COLOURS[curve.group], -0.31 - 0.06 * row
    axes.annotate(
        curve.title,
        (-0.08, place),
        xycoords="axes fraction",
        ha="right",
        fontsize=7,
        color=colour,
        annotation_clip=False,
    )
    for time, number in zip(times, curve.at_risk, strict=True):
        axes.annotate(
            str(number),
            (time, place),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=7,
            color=colour,
            annotation_clip=False,
        )
