"""Tables of a run and ``outcomes.csv`` -> one `Variable` per metric: each patient's change and outcome."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tme.change.compare import CALLED_KINDS
from tme.change.pairing import NONE
from tme.change.patients import TUMOUR, primary_pair, primary_prefix
from tme.change.types import NOT_EVALUABLE
from tme.config import Config
from tme.metrics.family import metric_columns
from tme.metrics.measure import EVALUABLE
from tme.metrics.types import CHANGE_KINDS, ColumnSpec
from tme.outcomes.sheet import OutcomeSheet
from tme.outcomes.types import DELTA_ABS, LOG2FC, NO_PAIR, NOT_JUDGED, Subject, Variable

Row = Mapping[str, str]
Key = tuple[str, str, str]
PRIMARY = "primary"


@dataclass(frozen=True)
class Tables:
    """Tables of a run as text.

    Attributes
    ----------
    patients, pairs, slides : sequence of rows
        ``patient_metrics.csv``, ``pairs.csv``, ``slide_metrics.csv``.
    biopsy_dates : mapping
        slide_id -> ``YYYY-MM-DD`` from the sample sheet, where one was given.
    """

    patients: Sequence[Row]
    pairs: Sequence[Row]
    slides: Sequence[Row]
    biopsy_dates: Mapping[str, str]

    def names(self) -> list[str]:
        """``patient_id`` of every patient, in order."""
        return [row["patient_id"] for row in self.patients]


def variables(tables: Tables, sheet: OutcomeSheet, config: Config) -> list[Variable]:
    """Every metric and compartment of the results, those of the declared family first.

    Parameters
    ----------
    tables : Tables
    sheet : OutcomeSheet
    config : Config
        Of the run, with the `OutcomeSettings` to use.

    Returns
    -------
    list of Variable
        Each with all patients of the results, in their order.
    """
    metrics = {column.name: column for column in metric_columns() if column.kind in CHANGE_KINDS}
    joining = _Joining(tables, sheet, config)
    keys = [key for key in _keys(tables.patients) if key[2] in metrics]
    declared = [joining.declared(name, metrics) for name in family_names(config)]
    taken = {(one.stain, one.compartment, one.metric.name) for one in declared}
    return declared + [joining.variable(key, metrics[key[2]]) for key in keys if key not in taken]


def family_names(config: Config) -> tuple[str, ...]:
    """STAIN.metric names of the declared family."""
    return config.outcomes.family or config.change.primary_metrics


def _keys(patients: Sequence[Row]) -> list[Key]:
    columns = [name.split("__") for name in (patients[0] if patients else ()) if name.count("__") == 3]
    return list(dict.fromkeys((parts[0], parts[1], parts[2]) for parts in columns))


class _Joining:
    """The tables, indexed for one variable after the other."""

    def __init__(self, tables: Tables, sheet: OutcomeSheet, config: Config) -> None:
        self.tables = tables
        self.sheet = sheet
        self.config = config
        shown = primary_pair(config) or ("", "")
        self.post = shown[1]
        self.pairs: dict[tuple[str, Key], list[Row]] = {}
        self.calls: dict[tuple[str, ...], list[str]] = {}
        metrics = {column.name: column for column in metric_columns()}
        for row in tables.pairs:
            if (row["timepoint_pre"], row["timepoint_post"]) == shown:
                key = (row["patient_id"], (row["stain"], row["compartment"], row["metric"]))
                self.pairs.setdefault(key, []).append(row)
                if row["change_call"] and row["metric"] in metrics:
                    sample = _sample(row, metrics[row["metric"]])
                    self.calls.setdefault(sample, []).append(row["change_call"])
        self.slides: dict[tuple[str, str], list[Row]] = {}
        for row in tables.slides:
            self.slides.setdefault((row["patient_id"], row["stain"]), []).append(row)
        self.shown = shown

    def variable(self, key: Key, metric: ColumnSpec) -> Variable:
        """One metric in one compartment."""
        subjects = tuple(self.subject(row, key, metric) for row in self.tables.patients)
        return Variable(key[0], key[1], metric, _measure(metric), subjects)

    def declared(self, name: str, metrics: Mapping[str, ColumnSpec]) -> Variable:
        """STAIN.metric of the family, in each patient's primary compartment."""
        stain, _, metric = name.partition(".")
        spec = metrics[metric]
        chosen = {row["patient_id"]: self.compartment(row, stain, metric) for row in self.tables.patients}
        paired = {
            patient: compartment
            for patient, compartment in chosen.items()
            if self.lesions(patient, (stain, compartment, metric))
        }
        counts = Counter(paired.values())
        shown = PRIMARY if len(counts) > 1 else next(iter(counts), EVALUABLE)
        subjects = tuple(
            self.subject(row, (stain, chosen[row["patient_id"]], metric), spec)
            for row in self.tables.patients
        )
        note = (
            ", ".join(f"{compartment} in {n}" for compartment, n in counts.items()) if len(counts) > 1 else ""
        )
        return Variable(stain, shown, spec, _measure(spec), subjects, declared=True, note=note)

    def compartment(self, row: Row, stain: str, metric: str) -> str:
        """The compartment that counts for a patient: that of the primary block, else by the same rule."""
        block = row.get(f"{primary_prefix(f'{stain}.{metric}')}_compartment", "")
        wanted = self.config.change.primary_compartment
        if block or wanted != "auto":
            return block or wanted
        tumour = "__".join((stain, TUMOUR, metric))
        both = row.get(f"{tumour}__pre") and row.get(f"{tumour}__post")
        return TUMOUR if both else EVALUABLE

    def lesions(self, patient: str, key: Key) -> list[Row]:
        """The patient's pairs of this metric that have both samples."""
        return [row for row in self.pairs.get((patient, key), []) if row["pairing"] != NONE]

    def subject(self, row: Row, key: Key, metric: ColumnSpec) -> Subject:
        """One patient."""
        patient = row["patient_id"]
        lesions = self.lesions(patient, key)
        outcome = self.sheet.of(patient)
        entry = self.biopsy_day(patient, key[0], outcome.first_dose_date if outcome else "")
        if not lesions:
            return Subject(patient, None, NO_PAIR, entry_day=entry, outcome=outcome)
        measure = _measure(metric)
        change = number(row.get(f"{'__'.join(key)}__{measure}", ""))
        judged = self.judged(row, key) if measure == LOG2FC else self.sound(lesions, metric)
        if change is None or not judged:
            return Subject(patient, None, NOT_JUDGED, entry_day=entry, outcome=outcome)
        used = [lesion for lesion in lesions if lesion["change_call"] not in ("", NOT_EVALUABLE)] or lesions
        pre, post = (_log2(row, key, used, side, metric.kind) for side in ("pre", "post"))
        return Subject(patient, change, "", pre, post, entry, outcome, _call(row, key))

    def judged(self, row: Row, key: Key) -> bool:
        """Whether the change of a called metric was called."""
        return _call(row, key) not in ("", NOT_EVALUABLE)

    def sound(self, lesions: Sequence[Row], metric: ColumnSpec) -> bool:
        """Whether the change of a metric that is never called is one of samples that can be judged.

        One such lesion with a change is enough: those that cannot be judged are not in it then.
        """
        return any(self.sound_lesion(lesion, metric) for lesion in lesions if lesion["delta_abs"])

    def sound_lesion(self, lesion: Row, metric: ColumnSpec) -> bool:
        """Whether both samples of a lesion can be judged.

        They can where another metric of the same samples was called; where none is ever called for the
        stain, where each side has a slide that is evaluable.
        """
        calls = self.calls.get(_sample(lesion, metric), [])
        if calls:
            return any(call != NOT_EVALUABLE for call in calls)
        fit = {
            slide["timepoint"]
            for slide in self.slides.get((lesion["patient_id"], lesion["stain"]), [])
            # A sample whose lesion is not named may be paired with one that is.
            if slide.get("lesion_id", "") in ("", lesion["lesion_id"])
            and slide["compartment"] == lesion["compartment"]
            and slide["evaluable"] == "true"
        }
        return set(self.shown) <= fit

    def biopsy_day(self, patient: str, stain: str, first_dose: str) -> int | None:
        """Day of the on-treatment biopsy; of several the last, as the change is known only from then on."""
        days: list[int] = []
        for slide in self.slides.get((patient, stain), []):
            if slide["timepoint"] != self.post or slide["status"] != "ok":
                continue
            taken = self.tables.biopsy_dates.get(slide["slide_id"], "")
            if slide["biopsy_day"]:
                days.append(int(slide["biopsy_day"]))
            elif taken and first_dose:
                days.append((date.fromisoformat(taken) - date.fromisoformat(first_dose)).days)
        return max(days, default=None)


def _measure(metric: ColumnSpec) -> str:
    """The column a metric's change is taken from."""
    return LOG2FC if metric.kind in CALLED_KINDS else DELTA_ABS


def _sample(row: Row, metric: ColumnSpec) -> tuple[str, ...]:
    """What metrics of one lesion share that are judged alike: its samples, and what is segmented on them."""
    return row["patient_id"], row["lesion_id"], row["stain"], row["compartment"], metric.target


def _call(row: Row, key: Key) -> str:
    return row.get(f"{'__'.join(key)}__change_call", "")


def _log2(row: Row, key: Key, lesions: Iterable[Row], side: str, kind: str) -> float | None:
    """The value of one side on the log2 scale: a density with 0.5 added to its count, as in log2fc."""
    if kind == "count density":
        counted = [(number(one[f"n_{side}"]), number(one[f"area_{side}_mm2"])) for one in lesions]
        known = [(n, area) for n, area in counted if n is not None and area]
        if not known:
            return None
        return math.log2((sum(n for n, _ in known) + 0.5) / sum(area for _, area in known))
    value = number(row.get(f"{'__'.join(key)}__{side}", "")) if kind == "positive" else None
    return math.log2(value) if value is not None and value > 0 else None


def number(text: str) -> float | None:
    """A cell of tme's own tables; None where it is empty."""
    return float(text) if text else None


def missing_days(found: Iterable[Variable]) -> str:
    """What is missing where no patient with a change has the day of the biopsy; "" where one has."""
    changed = [subject for variable in found for subject in variable.subjects if subject.change is not None]
    if not changed or any(subject.entry_day is not None for subject in changed):
        return ""
    return "the sample sheet gives no biopsy_day, nor biopsy_date (--sheet) with first_dose_date"
