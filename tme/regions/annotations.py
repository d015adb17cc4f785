"""Annotations of a slide from QuPath's GeoJSON.

Read as QuPath writes it (0.2 and later): a FeatureCollection, a bare array or one feature, plain or
gzipped; ``classification`` an object with ``name`` or ``names``, a string or null; children nested
in ``childObjects``. Detections, cells and tiles are passed over, and so is what tme itself drew.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tme.errors import AnnotationError
from tme.regions.outline import polygon_of
from tme.regions.types import CLASSES, Annotation
from tme.safety import comparison_key

MAX_BYTES = 300_000_000
OWN_CLASSES = ("tissue", "artefact")
_NOT_ANNOTATIONS = {
    *("detection", "cell", "tile", "tmacore", "root"),
    # How QuPath 0.2 and earlier said the same, in the feature's id.
    *("pathdetectionobject", "pathcellobject", "pathtileobject", "tmacoreobject", "pathrootobject"),
}


def read_annotations(path: Path, aliases: Mapping[str, str]) -> tuple[Annotation, ...]:
    """Read the annotated areas of one slide.

    Parameters
    ----------
    path : Path
        ``.geojson`` or ``.geojson.gz``.
    aliases : mapping
        Class name -> one of `CLASSES`, compared without case. The five names themselves always
        stand for themselves.

    Returns
    -------
    tuple of Annotation
        In the order of the file. Areas whose class is missing or not known come with an empty
        ``class_name``, so that `build_regions` can name them in a caution.

    Raises
    ------
    AnnotationError
        If the file is not GeoJSON, or the outline of an area that counts cannot be made sense of;
        the message names the feature.
    """
    known = {comparison_key(alias): name for alias, name in aliases.items()}
    known.update({comparison_key(name): name for name in CLASSES})
    annotations = []
    for number, feature in enumerate(_features(_parse(path), path.name), 1):
        properties = _dictionary(feature.get("properties"))
        label = _label(properties)
        if not _is_annotation(feature, properties) or label.split(":")[0].strip().casefold() in OWN_CLASSES:
            continue
        class_name = _class_name(label, known)
        where = f"{path.name}: feature {number} ({_title(feature, properties, label)})"
        polygon, caution = polygon_of(feature.get("geometry"), where, counts=bool(class_name))
        annotations.append(Annotation(class_name, label, polygon, caution))
    return tuple(annotations)


def _parse(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise AnnotationError(
                f"the annotations are over {MAX_BYTES // 1_000_000} MB",
                where=path.name,
                why="areas drawn by hand need far less; reading it could exhaust memory",
                fix="export annotations only, without detections",
            )
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, EOFError, zlib.error, RecursionError, gzip.BadGzipFile) as error:
        raise AnnotationError(
            "the annotations are not GeoJSON",
            where=path.name,
            why=f"{type(error).__name__}: {error}"[:200],
            fix="export them from QuPath again: File > Export objects as GeoJSON",
        ) from error
    except OSError as error:
        raise AnnotationError(
            "the annotations cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="check the path in the sheet and its permissions",
        ) from error


def _features(value: Any, name: str) -> Iterator[dict[str, Any]]:
    """Every feature, children after their parent, without recursion."""
    if isinstance(value, dict) and value.get("type") == "Feature":
        value = [value]
    elif isinstance(value, dict):
        value = value.get("features")
    if not isinstance(value, list):
        raise AnnotationError(
            "the annotations are not GeoJSON",
            where=name,
            why="it is neither a FeatureCollection nor a list of features",
            fix="export them from QuPath again: File > Export objects as GeoJSON",
        )
    waiting = list(reversed(value))
    while waiting:
        feature = waiting.pop()
        if not isinstance(feature, dict):
            raise AnnotationError(
                "a feature is not an object",
                where=name,
                why=f"it is {str(feature)[:60]!r}",
                fix="export again",
            )
        yield feature
        children = _dictionary(feature.get("properties")).get("childObjects") or feature.get("childObjects")
        if isinstance(children, list):
            waiting += reversed(children)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_annotation(feature: dict[str, Any], properties: dict[str, Any]) -> bool:
    """A missing or unknown type is an annotation, as in QuPath."""
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    return str(kind).casefold() not in _NOT_ANNOTATIONS


def _label(properties: dict[str, Any]) -> str:
    classification = properties.get("classification")
    if isinstance(classification, dict):
        names = classification.get("names")
        if isinstance(names, list):
            return ": ".join(str(name) for name in names)
        classification = classification.get("name")
    return str(classification).strip() if classification is not None else ""


def _class_name(label: str, known: dict[str, str]) -> str:
    """The class, or for a derived one ("Tumor: edge") that of its base."""
    whole = known.get(comparison_key(label), "")
    return whole or known.get(comparison_key(label.split(":")[0]), "")


def _title(feature: dict[str, Any], properties: dict[str, Any], label: str) -> str:
    return repr(str(properties.get("name") or feature.get("id") or label or "no name")[:60])
