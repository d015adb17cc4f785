"""What the columns of the tables of ``tme associate`` mean, and what each test asks."""

from __future__ import annotations

from tme.metrics.types import ColumnSpec, key_column

BENJAMINI_HOCHBERG = "Benjamini and Hochberg 1995, J R Stat Soc B 57:289"


def _number(name: str, definition: str, formula: str = "", source: str = "", unit: str = "") -> ColumnSpec:
    return ColumnSpec(name, unit, "outcome", definition, formula, source)


TEST_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("stain", "registered stain"),
    key_column(
        "compartment", "evaluable, or an annotated one; primary where patients differ in the one that counts"
    ),
    key_column("metric", "column of slide_metrics.csv"),
    key_column("kind", "count density, positive, bounded or index: how its change is judged"),
    key_column(
        "measure", "the change tested: log2fc for count densities and positive metrics, else delta_abs"
    ),
    key_column("test", "which question is asked; `tme explain` tells of each"),
    key_column("subset", "all, a stratum of the configuration, or NE counted as non-responders"),
    key_column("adjusted_for", "covariates beside the change, separated by +; empty without"),
    _number("n", "patients the numbers come from"),
    _number("n_responder", "of them CR or PR"),
    _number("n_non_responder", "of them SD or PD (and NE, where the subset says so)"),
    _number("n_events", "of them with the event after the on-treatment biopsy"),
    _number("n_left_out", "patients of the subset the test could not use"),
    _number("left_out", "how many of those for which reason, in the order of exclusion"),
    _number("effect", "what the estimate is, with its unit"),
    _number("estimate", "size of the effect", unit="see effect"),
    _number("ci_low", "lower end of its 95 % interval", unit="see effect"),
    _number("ci_high", "upper end of its 95 % interval", unit="see effect"),
    _number("statistic", "the test's own statistic: U, rank sum of rises, t, z or rho"),
    _number("method", "how estimate, interval and p were computed"),
    _number(
        "p",
        "two-sided p-value, not adjusted; empty where so few patients could not give one of .05 or less",
    ),
    _number("p_smallest", "the smallest p that so many patients, with their ties, could have given"),
    _number(
        "p_adjusted",
        "p adjusted within the declared family, so that the share of false findings is controlled",
        "Benjamini–Hochberg over the p-values of the family that are there",
        BENJAMINI_HOCHBERG,
    ),
    _number("family", "declared for rows of the family of the configuration; empty ones only explore"),
    _number("reason", "why a number is missing"),
    _number("note", "what to know when reading the row"),
)

FLOW_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("stain", "registered stain; empty for steps of the whole cohort"),
    key_column("compartment", "as in cohort_tests.csv"),
    key_column("metric", "as in cohort_tests.csv"),
    key_column("step", "what is asked of a patient here"),
    key_column("step_before", "the step the patients come from; empty for the first"),
    _number("n", "patients who pass"),
    _number("n_left_out", "patients of the step before who do not"),
    _number("left_out", "how many of those for which reason"),
)


SURVIVAL_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("stain", "registered stain"),
    key_column("compartment", "as in cohort_tests.csv"),
    key_column("metric", "as in cohort_tests.csv"),
    key_column("endpoint", "pfs or os"),
    key_column("group", "all, or patients whose change was called increase, within_noise or decrease"),
    _number("day", "day of an event or of a censored patient; the first row of a curve is day 0", unit="d",
            formula="pfs_days or os_days minus the day of the on-treatment biopsy"),
    _number("n_at_risk", "patients under observation until this day"),
    _number("n_events", "of them with the event on this day"),
    _number("n_censored", "of them last seen on this day without it"),
    _number("survival", "share without the event after this day", "Kaplan–Meier estimate",
            "Kaplan and Meier 1958, J Am Stat Assoc 53:457"),
    _number("ci_low", "lower end of its 95 % interval; empty at 0 and 1", "Greenwood's, log(−log) scale"),
    _number("ci_high", "upper end of its 95 % interval; empty at 0 and 1", "Greenwood's, log(−log) scale"),
)  # fmt: skip

PATIENT_OUTCOME_COLUMNS: tuple[ColumnSpec, ...] = (
    key_column("patient_id", "patient of the results that outcomes.csv has too"),
    _number("response", "best response, CR, PR, SD, PD or NE, as in outcomes.csv"),
    _number("pct_change_sld", "best change of the sum of longest diameters", unit="%"),
    _number(
        "pfs_days", "days from the first dose to progression or death, or to the last day without", unit="d"
    ),
    _number("pfs_event", "whether progression or death was seen"),
    _number("os_days", "days from the first dose to death, or to the last day known alive", unit="d"),
    _number("os_event", "whether death was seen"),
    _number("histology", "as in outcomes.csv"),
)


def _test(name: str, definition: str, formula: str, source: str, caveats: tuple[str, ...]) -> ColumnSpec:
    return ColumnSpec(name, "", "test", definition, formula, source, caveats)


DILUTED = "Noise in the change draws the ratio towards 1, the more the fewer cells or vessels were counted."
FEW = "With few patients a wide interval means that the question is open, not that there is no difference."
UNPLANNED = "Outside the declared family p is not adjusted: such a row suggests a question, it answers none."
WHO_HAS_A_PAIR = "Only patients with both biopsies are seen; who was too ill for the second one is not."

TESTS: tuple[ColumnSpec, ...] = (
    _test(
        "wilcoxon",
        "did the metric change on treatment, over all patients with a pair? Needs no outcome",
        "exact Wilcoxon signed-rank test, zeros by Pratt; estimate: Hodges–Lehmann median of pairwise "
        "means, interval by inversion",
        "Pratt 1959, JASA 54:655; Hodges and Lehmann 1963, Ann Math Stat 34:598",
        ("Without an untreated group a change on treatment need not be due to it.", WHO_HAS_A_PAIR, FEW),
    ),
    _test(
        "mann_whitney",
        "did the metric change by more in responders (CR, PR) than in the others (SD, PD)?",
        "exact permutation distribution of the mid-rank sum; estimate: Hodges–Lehmann shift, interval by "
        "inversion",
        "Streitberg and Röhmel 1986, Stat Softw Newsl 12:10; Hodges and Lehmann 1963, Ann Math Stat 34:598",
        (
            "It compares patients by what came later; a difference does not say that the change brought the "
            "response about.",
            "No p of .05 exists for 3 against 4 patients, or 2 against 7: the row then has none and says so.",
            UNPLANNED,
            FEW,
        ),
    ),
    _test(
        "auroc",
        "how well does the change tell responders from the others? The chance that a responder's is higher",
        "(pairs where it is higher + ½ ties) / all pairs; Newcombe's interval, method 5",
        "Newcombe 2006, Stat Med 25:559",
        (
            "It describes these patients; a marker chosen for its AUROC will do worse on the next cohort.",
            "Below .5 non-responders rise more: nothing is turned round.",
        ),
    ),
    _test(
        "firth_logistic",
        "by what factor do the odds of response differ per doubling of the metric on treatment (per "
        "standard deviation of delta_abs where there is no fold change)?",
        "logistic regression with Jeffreys' penalty, interval and p from the profile of its likelihood",
        "Firth 1993, Biometrika 80:27; Heinze and Schemper 2002, Stat Med 21:2409",
        (
            "The odds are taken to rise evenly with each doubling, which a few patients cannot show.",
            "Estimates stay finite where the groups part completely; see how wide the interval is then.",
            DILUTED,
        ),
    ),
    _test(
        "ancova",
        "do responders and the others differ after treatment, at equal values before it?",
        "log2 post ~ log2 pre + response by least squares; estimate: the difference on the log2 scale",
        "Vickers and Altman 2001, BMJ 323:1123",
        (
            "Beside mann_whitney it guards against regression to the mean: low values before rise by chance.",
            "One slope is used for both groups; 1 or 2 odd patients can set it.",
        ),
    ),
    _test(
        "spearman",
        "does the change go with the best change in tumour size (pct_change_sld)?",
        "rank correlation; p from all permutations up to 8 patients, above by Student's t; Fisher's interval",
        "Bonett and Wright 2000, Psychometrika 65:23",
        ("A size measured after the biopsy follows the change, one measured before it does not.", FEW),
    ),
    _test(
        "cox_pfs",
        "does the hazard of progression or death, from the on-treatment biopsy on, go with the change?",
        "Cox regression from first dose, at risk from the biopsy's day on (delayed entry), Efron's ties; "
        "hazard ratio per doubling, or per standard deviation of delta_abs; Wald interval and p",
        "Anderson 1983, J Clin Oncol 1:710; Dafni 2011, Circ Cardiovasc Qual Outcomes 4:363",
        (
            "Events and censoring before the biopsy leave the set and are counted in left_out.",
            "It holds for patients who lived progression-free to their biopsy, not for all who were treated.",
            "Hazards are taken to stay proportional; under about 10 events nothing can check that.",
            DILUTED,
        ),
    ),
    _test(
        "cox_os",
        "does the hazard of death, from the on-treatment biopsy on, go with the change?",
        "as cox_pfs, with os_days and os_event",
        "Anderson 1983, J Clin Oncol 1:710; Dafni 2011, Circ Cardiovasc Qual Outcomes 4:363",
        (
            "Events and censoring before the biopsy leave the set and are counted in left_out.",
            "Treatment after progression enters survival and is not known here.",
            DILUTED,
        ),
    ),
)  # fmt: skip


def cohort_test_columns() -> list[str]:
    """Names of the columns of ``cohort_tests.csv``, in order."""
    return [column.name for column in TEST_COLUMNS]


def flow_columns() -> list[str]:
    """Names of the columns of ``cohort_flow.csv``, in order."""
    return [column.name for column in FLOW_COLUMNS]


def survival_columns() -> list[str]:
    """Names of the columns of ``cohort_survival.csv``, in order."""
    return [column.name for column in SURVIVAL_COLUMNS]


def patient_outcome_columns() -> list[str]:
    """Names of the columns of ``cohort_outcomes.csv``, in order."""
    return [column.name for column in PATIENT_OUTCOME_COLUMNS]
