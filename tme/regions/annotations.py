"""Annotations of a slide from QuPath's GeoJSON.

Read as QuPath writes it (0.2 and later): a FeatureCollection, a bare array or one feature, plain or
gzipped; ``classification`` an object with ``name`` or ``names``, a string or null; children nested
in ``childObjects``. Detections, cells and tiles are passed over, and so is what tme itself drew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tme.regions.geojson import class_label, dictionary, read_features
from tme.regions.outline import polygon_of
from tme.regions.types import CLASSES, Annotation
from tme.safety import comparison_key

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
    for number, feature in enumerate(read_features(path), 1):
        properties = dictionary(feature.get("properties"))
        label = class_label(properties)
        if not _is_annotation(feature, properties) or label.split(":")[0].strip().casefold() in OWN_CLASSES:
            continue
        class_name = _class_name(label, known)
        where = f"{path.name}: feature {number} ({_title(feature, properties, label)})"
        polygon, caution = polygon_of(feature.get("geometry"), where, counts=bool(class_name))
        annotations.append(Annotation(class_name, label, polygon, caution))
    return tuple(annotations)


def _is_annotation(feature: dict[str, Any], properties: dict[str, Any]) -> bool:
    """A missing or unknown type is an annotation, as in QuPath."""
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    return str(kind).casefold() not in _NOT_ANNOTATIONS


def _class_name(label: str, known: dict[str, str]) -> str:
    """The class, or for a derived one ("Tumor: edge") that of its base."""
    whole = known.get(comparison_key(label), "")
    return whole or known.get(comparison_key(label.split(":")[0]), "")


def _title(feature: dict[str, Any], properties: dict[str, Any], label: str) -> str:
    return repr(str(properties.get("name") or feature.get("id") or label or "no name")[:60])
