"""What the columns of ``pairs.csv`` mean, in the table's order."""

from __future__ import annotations

from tme.metrics.types import ColumnSpec, key_column

DEJARDIN = "Dejardin 2024, Clin Cancer Res 30:877"
DENSITY_FC = "count density: log2[((n_post + .5)/A_post) / ((n_pre + .5)/A_pre)]; positive: log2(post/pre)"
DENSITY_SE = (
    "count density: √(φ_post/(n_post + .5) + φ_pre/(n_pre + .5)) / ln 2, φ under 1 where blocks scatter "
    "less than Poisson's law says, but the interval at least that of two Poisson counts; positive: block "
    "bootstrap"
)
SEVERAL = (
    "several slides: ΣN/ΣA; medians and percentiles over the objects of all; indices as their formula says"
)


def _change(name: str, unit: str, definition: str, formula: str = "", source: str = "") -> ColumnSpec:
    return ColumnSpec(name, unit, "change", definition, formula, source)


PAIR_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("patient_id", "patient, as in the sheet"),
    key_column("lesion_id", "lesion, empty where the sheet gives none"),
    key_column("stain", "registered stain"),
    key_column("compartment", "evaluable, or an annotated compartment of it"),
    key_column("metric", "column of slide_metrics.csv"),
    key_column("kind", "count density, positive, bounded or index: how its change is judged"),
    key_column("timepoint_pre", "earlier time point"),
    key_column("timepoint_post", "later time point"),
    _change("value_pre", "metric's", "value before, several slides pooled", SEVERAL),
    _change("value_post", "metric's", "value after, several slides pooled", SEVERAL),
    _change("n_pre", "", "objects behind value_pre"),
    _change("n_post", "", "objects behind value_post"),
    _change("area_pre_mm2", "mm²", "evaluable area behind value_pre"),
    _change("area_post_mm2", "mm²", "evaluable area behind value_post"),
    _change("delta_abs", "metric's", "absolute change", "value_post − value_pre"),
    _change(
        "delta_ci_low",
        "metric's",
        "lower end of the 95 % interval of delta_abs",
        "from both sides' intervals: Δ − √((v_post − low_post)² + (high_pre − v_pre)²)",
        "Zou and Donner 2008, Stat Med 27:1693",
    ),
    _change(
        "delta_ci_high",
        "metric's",
        "upper end of the 95 % interval of delta_abs",
        "from both sides' intervals: Δ + √((high_post − v_post)² + (v_pre − low_pre)²)",
        "Zou and Donner 2008, Stat Med 27:1693",
    ),
    _change("log2fc", "log2", "fold change; 1 is doubled, −1 halved", DENSITY_FC),
    _change("log2fc_se", "log2", "standard error of log2fc from counting and clustering", DENSITY_SE),
    _change(
        "log2fc_ci_low", "log2", "lower end of its 95 % interval", "log2fc − t(.975, B_pre + B_post − 2)·se"
    ),
    _change(
        "log2fc_ci_high", "log2", "upper end of its 95 % interval", "log2fc + t(.975, B_pre + B_post − 2)·se"
    ),
    _change(
        "rc_log2",
        "log2",
        "repeatability coefficient: how far repeats of one lesion differ beyond counting error",
        "1.96·√2·s_b; 1.0 where not known",
        "Bland and Altman 1999, Stat Methods Med Res 8:135",
    ),
    _change("rc_source", "", "where rc_log2 came from: default, repeats or config"),
    _change(
        "change_call",
        "",
        "increase, decrease, within_noise or not_evaluable, for count densities and positive metrics",
        "increase or decrease when |log2fc| > √(rc_log2² + (t·se)²)",
    ),
    _change("pairing", "", "same_lesion, same_patient, or none for a sample without a partner"),
    _change("interval_days", "d", "days between the two biopsies"),
    _change(
        "note",
        "",
        "why a number is missing or a call is withheld, and what to know; where the slides are positive "
        "from different DAB densities on, the change of a cell density or share at the lowest and highest, "
        "and whether the call depends on it",
    ),
    _change("fc_ge_2p5", "", "CD8 density: at least 2.5-fold", "ln ratio ≥ 0.9", DEJARDIN),
    _change("otd_ge_500", "", "CD8 density after: at least about 500/mm²", "ln density ≥ 6.2", DEJARDIN),
)


def change_columns() -> list[str]:
    """Names of the columns of ``pairs.csv``, in order."""
    return [column.name for column in PAIR_COLUMNS]
