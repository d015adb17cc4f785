"""The methods text of a paper, written from the settings and versions of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tme.change.compare import DEFAULT_RC_LOG2
from tme.outcomes.columns import TESTS
from tme.report.artefacts import Row, Run
from tme.report.numbers import number_text, value_of
from tme.report.words import METRIC_TITLES, counted
from tme.stains import STAINS

PACKAGES = (
    "numpy", "scipy", "scikit-image", "opencv-python-headless", "openslide-bin", "statsmodels", "lifelines",
    "firthmodels", "snakemake", "dask",
)  # fmt: skip
Paragraph = tuple[str, str]


def methods_text(run: Run) -> list[Paragraph]:
    """(heading, paragraph), each sentence about this run: what was not done is not written."""
    rows = run.one_per_slide()
    parts = [
        ("Slides", _slides(run, rows)),
        ("Tissue", _tissue(run)),
        ("Stain", _stain(run, rows)),
        ("Cells", _cells(run, rows)),
        ("Vessels", _vessels(run, rows)),
        ("Regions", _regions(run)),
        ("Measurements", _measurements(run)),
        ("Change", _change(run)),
        ("Outcomes", _outcomes(run)),
        ("Software", _software(run, rows)),
    ]
    return [(heading, text) for heading, text in parts if text]


def _slides(run: Run, rows: Sequence[Row]) -> str:
    stains = Counter(row.get("stain", "") for row in rows)
    resolutions = [value for row in rows if (value := value_of(row.get("mpp_um"))) is not None]
    given = sum(row.get("mpp_source") == "sheet" for row in rows)
    text = (
        f"Digitised sections of {counted(len(run.patients()), 'patient')} were analysed: "
        f"{_counted(stains)}, at the time points {_listed(run.config.cohort.timepoints)}."
    )
    if resolutions:
        low, high = min(resolutions), max(resolutions)
        span = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        text += f" Their resolution was {span} µm per pixel at full size"
        text += f", for {given} of them as given in the sample sheet." if given else "."
    excluded = sum(row.get("status") == "excluded" for row in rows)
    failed = sum(row.get("status") == "failed" for row in rows)
    if excluded:
        text += (
            f" {counted(excluded, 'slide was', 'slides were')} left out before analysis by the sample sheet."
        )
    if failed:
        text += f" {counted(failed, 'slide')} could not be analysed."
    return text


def _tissue(run: Run) -> str:
    tissue = run.config.tissue
    text = (
        f"Tissue was told from glass at {tissue.mpp:g} µm per pixel; pieces under {tissue.min_piece_mm2:g} "
        f"mm² were dropped unless they touched the image's edge, and holes up to {tissue.max_hole_mm2:g} "
        "mm² counted as tissue."
    )
    if tissue.detect_artefacts:
        text += " Pen marks, folds, blurred areas, bubbles and edges of cover slips were found and taken off."
    return text


def _stain(run: Run, rows: Sequence[Row]) -> str:
    stain = run.config.stain
    text = (
        f"Stain vectors were estimated once per slide from a random sample of {stain.sample_windows} "
        f"windows (seed {stain.seed}), so that no part of a slide was judged by another measure than the "
        "rest."
    )
    sources = Counter(row.get("threshold_source", "") for row in rows if row.get("dab_threshold_od"))
    if sources:
        densities = [value for row in rows if (value := value_of(row.get("dab_threshold_od"))) is not None]
        named = {"slide": "the slide itself", "config": "the settings", "control": "control slides"}
        text += (
            f" DAB was positive from an optical density of {min(densities):.3g} to {max(densities):.3g}, "
            "taken from "
            + _listed([f"{named.get(source, source)} ({n} slides)" for source, n in sources.items()])
            + "."
        )
    return text


def _cells(run: Run, rows: Sequence[Row]) -> str:
    counted = [row for row in rows if row.get("n_nuclei")]
    if not counted:
        return ""
    models = sorted({row.get("model_id", "") for row in counted} - {""})
    mpps = sorted({number_text(value_of(row.get("work_mpp_um"))) for row in counted})
    cells = run.config.cells
    views = f", from {cells.views} turned, mirrored and shifted views" if cells.views > 1 else ""
    text = (
        f"Nuclei were segmented with {_listed(models) or cells.engine} at {_listed(mpps)} µm per pixel"
        f"{views}; objects over {cells.max_area_um2:g} µm² were dropped."
    )
    stains = {row.get("stain", "") for row in counted}
    if "HE" in stains:
        text += (
            " On H&E, tumour-infiltrating lymphocytes (TILs) were cells of the class lymphocyte; plasma "
            "cells have no class of their own and are not told from them."
        )
    markers = sorted(name for name in stains if name in STAINS.names() and STAINS.get(name).til_marker)
    if markers:
        text += f" On {_listed(markers)}, TILs were cells positive for the marker."
    return text


def _vessels(run: Run, rows: Sequence[Row]) -> str:
    if not any(row.get("n_vessels") for row in rows):
        return ""
    vessels = run.config.vessels
    text = (
        f"Vessels were separate endothelial objects, with or without a lumen, segmented at {vessels.mpp:g} "
        f"µm per pixel from positive pixels grown to {vessels.grow:g} of the threshold; fragments closer "
        f"than {vessels.join_um:g} µm were joined and objects under {vessels.min_area_um2:g} µm² dropped."
    )
    if vessels.max_leucocyte_um:
        text += f" Round solid objects up to {vessels.max_leucocyte_um:g} µm were taken for leucocytes."
    return text


def _regions(run: Run) -> str:
    names = sorted({row.get("compartment", "") for row in run.slides} - {"", "evaluable"})
    primary = run.config.change.primary_compartment
    if not names:
        return "No regions were annotated: all evaluable tissue was measured."
    text = (
        f"Annotated regions ({_listed(names)}) were measured apart; necrosis and exclusions were taken off."
    )
    if primary == "auto":
        return (
            text
            + " Changes are those within tumour where both samples have it annotated, else in all evaluable "
            "tissue."
        )
    return text + f" Changes are those in {primary}."


def _measurements(run: Run) -> str:
    metrics = run.config.metrics
    return (
        f"A slide was evaluable with at least {metrics.min_area_mm2:g} mm² of evaluable tissue and, for "
        f"cells, {metrics.min_nuclei:,} nuclei. Densities are counts over evaluable area. Their intervals "
        "allow for clustering: overdispersion was estimated over contiguous blocks of about "
        f"{metrics.block_mm2:g} mm² (smaller where six do not fit), corrected for clusters cut by their "
        "borders, and with fewer than four blocks an exact Poisson interval was widened by an "
        f"overdispersion of at least {metrics.overdispersion_prior:g}. Other intervals are from "
        f"{metrics.bootstrap:,} bootstrap replicates of the blocks (seed {metrics.seed})."
    )


def _change(run: Run) -> str:
    named = run.config.change.rc_log2
    coefficients = _listed([f"{value:g} for {name}" for name, value in named.items()])
    rest = f"{DEFAULT_RC_LOG2:g} (a fold of {2**DEFAULT_RC_LOG2:g})"
    text = (
        f"Change from {run.pair[0]} to {run.pair[1]} was compared within the lesion where lesions were "
        "named; several slides of one sample were pooled as sums of counts over sums of area. It is the "
        "log2 fold change, with 0.5 added to either count, and its interval takes both counts and their "
        "overdispersion into account; for shares and indices it is the difference. A change was called an "
        "increase or a decrease where it was larger than √(rc² + h²), with rc the repeatability coefficient "
        "and h half the width of its 95 % interval, else within noise. "
    )
    if named:
        return (
            text + f"The repeatability coefficient on the log2 scale was {coefficients}, and {rest} for all "
            f"other metrics."
        )
    sources = {row.get("rc_source", "") for row in run.pairs} - {"", "default"}
    if sources:
        return text + f"The repeatability coefficients came from: {_listed(sorted(sources))}."
    return text + (
        f"The repeatability coefficient was assumed to be {rest} on the log2 scale for all metrics; it was "
        "not measured in this study. Missing values were not imputed."
    )


def _outcomes(run: Run) -> str:
    if run.associated is None:
        return ""
    settings = run.associated.settings
    present = {row["test"] for row in run.associated.tests}
    questions = {test.name: test.formula for test in TESTS if test.name in present}
    text = (
        "Responders were patients with complete or partial response by RECIST, others those with stable or "
        "progressive disease; who could not be evaluated was left out and counted. "
    )
    text += "Tests, all two-sided: " + "; ".join(f"{name}: {how}" for name, how in questions.items()) + ". "
    text += (
        "p is not given where so few patients could not have reached .05. p-values of the family declared "
        f"for this analysis ({_listed([_family_name(name) for name in run.family])}; "
        f"{_listed(settings.family_tests)}) were adjusted by Benjamini and Hochberg's method; all others "
        "are exploratory. Survival curves are Kaplan–Meier estimates re-zeroed at the on-treatment biopsy."
    )
    if settings.covariates:
        text += f" Covariates, as far as there was one term to ten events: {_listed(settings.covariates)}."
    if settings.strata:
        text += f" The family was tested again within {_listed(settings.strata)}."
    return text


def _software(run: Run, rows: Sequence[Row]) -> str:
    codes = _listed(sorted({row.get("code_version", "") for row in rows} - {""}))
    digests = _listed([d[:12] for d in sorted({row.get("config_sha256", "") for row in rows} - {""})])
    text = f"tme {codes}" if codes else "tme"
    if digests:
        text += f" with settings {digests} (sha256)"
    known = [f"{name} {run.versions[name]}" for name in PACKAGES if name in run.versions]
    python = f"Python {run.versions['python']}" if "python" in run.versions else ""
    libraries = _listed([*filter(None, [python]), *known])
    return f"{text}; {libraries}." if libraries else f"{text}."


def _family_name(name: str) -> str:
    stain, _, metric = name.partition(".")
    return f"{stain} {METRIC_TITLES.get(metric, metric)}"


def _counted(counts: Counter[str]) -> str:
    return _listed([f"{n} {name}" for name, n in counts.items()])


def _listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    found = list(words)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
