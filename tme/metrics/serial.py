"""Measurements to plain JSON and back, without loss."""

from __future__ import annotations

from typing import Any

from tme.errors import ArtefactError
from tme.metrics.spill import Shares
from tme.metrics.types import BlockSums, Compartment, Estimate, Measurements, Spread

VERSION = 3
PLAIN = ("value", "ci_low", "ci_high", "n", "phi", "n_blocks", "se", "note")


def to_json(measurements: Measurements) -> dict[str, Any]:
    """Plain dictionaries, lists and scalars for ``measurements.json``; what is empty is left out."""
    return {
        "version": VERSION,
        "stain": measurements.stain,
        "targets": list(measurements.targets),
        "keys": dict(measurements.keys),
        "areas": dict(measurements.areas),
        "settings": dict(measurements.settings),
        # A list, because JSON objects are written with sorted keys and the order is the table's.
        "compartments": [
            {
                "name": name,
                "area_mm2": compartment.area_mm2,
                "n_nuclei": compartment.n_nuclei,
                "reasons": {target: list(texts) for target, texts in compartment.reasons.items()},
                "estimates": {name: _estimate_json(value) for name, value in compartment.estimates.items()},
            }
            for name, compartment in measurements.compartments.items()
        ],
    }


def from_json(raw: Any) -> Measurements:
    """The inverse of `to_json`.

    Raises
    ------
    ArtefactError
        If it was written by another version or is not what `to_json` writes.
    """
    try:
        if raw["version"] != VERSION:
            raise ValueError(f"version {raw['version']}, this program writes {VERSION}")
        return Measurements(
            raw["stain"],
            tuple(raw["targets"]),
            raw["keys"],
            raw["areas"],
            {entry["name"]: _compartment(entry) for entry in raw["compartments"]},
            raw["settings"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            "the measurements cannot be read",
            where="measurements.json",
            why=f"{type(error).__name__}: {error}"[:200],
            fix="run `tme run` again; they are made anew",
        ) from error


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    out = {name: getattr(estimate, name) for name in PLAIN}
    out = {name: value for name, value in out.items() if value is not None and value != ""}
    if estimate.sums is not None:
        sums = estimate.sums
        out["sums"] = {
            "numerator": _joined(sums.numerator),
            "denominator": _joined(sums.denominator),
            "scale": sums.scale,
            "shares": [sums.shares.block, sums.shares.tissue],
        }
    if estimate.spread is not None:
        spread = estimate.spread
        out["spread"] = {"level": spread.level, "points": _joined(spread.points), "weight": spread.weight}
    if estimate.parts:
        out["parts"] = {name: _joined(values) for name, values in estimate.parts.items()}
    if estimate.fields:
        out["fields"] = [list(circle) for circle in estimate.fields]
    return out


def _estimate(raw: dict[str, Any]) -> Estimate:
    plain = {name: raw.get(name) for name in PLAIN if name not in ("value", "note")}
    sums = raw.get("sums")
    spread = raw.get("spread")
    return Estimate(
        raw.get("value"),
        **plain,
        note=raw.get("note", ""),
        sums=sums and _sums(sums),
        spread=spread and Spread(spread["level"], _parted(spread["points"]), spread["weight"]),
        parts={name: _parted(text) for name, text in raw.get("parts", {}).items()},
        fields=tuple((x, y, radius) for x, y, radius in raw.get("fields", [])),
    )


def _sums(raw: dict[str, Any]) -> BlockSums:
    numerator, denominator = _parted(raw["numerator"]), _parted(raw["denominator"])
    return BlockSums(numerator, denominator, raw["scale"], Shares(*raw["shares"]))


def _compartment(raw: dict[str, Any]) -> Compartment:
    return Compartment(
        raw["area_mm2"],
        raw["n_nuclei"],
        {target: tuple(texts) for target, texts in raw["reasons"].items()},
        {name: _estimate(value) for name, value in raw["estimates"].items()},
    )


def _joined(values: tuple[float, ...]) -> str:
    # One line a list: the file stays small and can still be read.
    return " ".join(repr(value) for value in values)


def _parted(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split())
