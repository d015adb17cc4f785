"""QuPath's GeoJSON -> its features, one after another: what annotations and labels of nuclei share."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tme.errors import AnnotationError

MAX_BYTES = 300_000_000


def read_features(path: Path) -> Iterator[dict[str, Any]]:
    """Every feature of a ``.geojson`` or ``.geojson.gz``, children after their parent.

    Raises
    ------
    AnnotationError
        If the file cannot be read, is too large or is not GeoJSON.
    """
    return _features(_parse(path), path.name)


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
        children = dictionary(feature.get("properties")).get("childObjects") or feature.get("childObjects")
        if isinstance(children, list):
            waiting += reversed(children)


def dictionary(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def class_label(properties: dict[str, Any]) -> str:
    """The name of a feature's class, derived ones as "base: derived"; empty without one."""
    classification = properties.get("classification")
    if isinstance(classification, dict):
        names = classification.get("names")
        if isinstance(names, list):
            return ": ".join(str(name) for name in names)
        classification = classification.get("name")
    return str(classification).strip() if classification is not None else ""
