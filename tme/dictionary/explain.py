"""`tme explain`: what a metric, a column or a key of the configuration means, and when it misleads."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tme.config import Config
from tme.dictionary.rows import tables
from tme.errors import ConfigError
from tme.metrics.types import NEEDS_TEXT, ColumnSpec
from tme.outcomes.columns import TESTS
from tme.stains import STAINS

WIDTH = 96
INTERVALS = {
    "count density": "λ·exp(± max(t(.975, B − 1)·√φ, 1.96)/√n); n = 0: [0, 3.69 φ/A]; fewer than 4 blocks: "
    "Garwood's exact interval on n/φ, times φ, with φ at least overdispersion_prior",
    "positive": "seeded block bootstrap on the log2 scale, ± t(.975, B − 1) standard errors",
    "bounded": "seeded block bootstrap, ± t(.975, B − 1) standard errors, within 0 and 100",
    "index": "seeded block bootstrap where it has one, ± t(.975, B − 1) standard errors",
}
CHANGES = {
    "count density": "log2 fold change with 0.5 added to each count; called beyond √(rc² + (t·se)²)",
    "positive": "log2 ratio; called beyond √(rc² + (t·se)²)",
    "bounded": "absolute difference with its interval; never called",
    "index": "absolute difference with its interval; never called",
}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def explain(name: str) -> str:
    """Text on a metric, a column, a test or a key of the configuration; ``config`` lists the keys.

    Raises
    ------
    ConfigError
        If there is no such name, with the nearest ones.
    """
    if name == "config":
        return "\n\n".join(_key_text(key, field, default) for key, field, default in config_keys())
    if name.count("__") == 3 and not name.startswith("<"):
        # A column of patient_metrics.csv: stain, compartment, metric, item.
        name = name.split("__")[2]
    stain, dot, metric = name.partition(".")
    if dot and stain in STAINS:
        # STAIN.metric, as settings name it.
        name = metric
    found = [
        (file, column) for file, columns in _explained().items() for column in columns if column.name == name
    ]
    if found:
        return "\n\n".join(_column_text(files, column) for column, files in _grouped(found))
    for key, field, default in config_keys():
        if name in (key, key.partition(".")[2]):
            return _key_text(key, field, default)
    raise _unknown(name)


def _explained() -> dict[str, list[ColumnSpec]]:
    """File, or what else a name belongs to, -> what there is to say of each name."""
    return {**tables(), "a test of cohort_tests.csv": list(TESTS)}


def config_keys() -> Iterator[tuple[str, FieldInfo, Any]]:
    """(section.key, field, default) of every key of the configuration."""
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            defaults = model().model_dump(mode="json")
            for key, inner in model.model_fields.items():
                yield f"{section}.{key}", inner, defaults[key]


def _grouped(found: list[tuple[str, ColumnSpec]]) -> list[tuple[ColumnSpec, list[str]]]:
    """Columns that mean the same in several files, once."""
    grouped: dict[ColumnSpec, list[str]] = {}
    for file, column in found:
        grouped.setdefault(column, []).append(file)
    return list(grouped.items())


def _column_text(files: list[str], column: ColumnSpec) -> str:
    lines = [f"{column.name}  ({', '.join(files)})", *_wrapped(_sentence(column.definition), "")]
    facts = {
        "unit": column.unit,
        "kind": column.kind,
        "stains": NEEDS_TEXT[column.needs] if column.needs != "any" else "",
        "formula": column.formula,
        "interval": INTERVALS.get(column.kind, ""),
        "in columns": ", ".join(column.interval or ()),
        "change": CHANGES.get(column.kind, ""),
        "source": column.source,
    }
    for label, text in facts.items():
        if text:
            lines += _wrapped(text, f"  {label + ':':12s}")
    if column.caveats:
        lines.append("  when it misleads:")
        for caveat in column.caveats:
            lines += _wrapped(caveat, "    - ")
    return "\n".join(lines)


def _key_text(key: str, field: FieldInfo, default: Any) -> str:
    bounds = bounds_text(field)
    lines = [key, *_wrapped(field.description or "", "  ")]
    if bounds:
        lines.append(f"  range: {bounds}")
    lines += _wrapped(f"default: {json.dumps(default, ensure_ascii=False)}", "  ")
    return "\n".join(lines)


def bounds_text(field: FieldInfo) -> str:
    """A key's range, ``≥ 1 and ≤ 16``, or the choices of a closed list; empty if anything goes."""
    found: dict[str, Any] = {}
    for item in field.metadata:
        for attribute in BOUNDS:
            value = getattr(item, attribute, None)
            if value is not None:
                found[attribute] = value
    if "ge" in found:
        found.pop("gt", None)
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(choices)
    return " and ".join(f"{BOUNDS[attribute]} {value:g}" for attribute, value in found.items())


def _unknown(name: str) -> ConfigError:
    known = {column.name for columns in _explained().values() for column in columns}
    known |= {key for key, _, _ in config_keys()} | {"config"}
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    return ConfigError(
        f"there is no metric, column, test or key named {name!r}",
        where="explain",
        why="names are those of the tables' columns, of the tests and of the configuration's keys",
        fix=f"did you mean {' or '.join(near)}?" if near else "data_dictionary.csv lists every column",
    )


def _wrapped(text: str, start: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
