"""``provenance/ro-crate-metadata.json``: the run as a Process Run Crate 0.5 on RO-Crate 1.1.

The crate is the folder ``provenance/``. Slides, weights and results lie outside it, so each is named by what
it is rather than where: a ``ni:`` URI of its sha256 (RFC 6920), which whoever holds the file can check.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tme import __version__
from tme.safety import file_sha256
from tme.store import read_manifest, write_json

CRATE = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
RO_CRATE = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
NOT_STATED = "#not-stated"
LICENCE = "https://spdx.org/licenses/Apache-2.0"
KINDS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
}
OBJECTS = ("cells.parquet", "vessels.parquet")
Entity = dict[str, Any]


def write_crate(
    results: Path, files: Mapping[str, str], keys: Sequence[Mapping[str, Any]], licence: str
) -> None:
    """Describe a finished run.

    Parameters
    ----------
    results : Path
        Whose ``provenance/`` has the settings and versions already.
    files : mapping of str to str
        Tables and pages of the cohort, by path in ``results`` -> sha256.
    keys : sequence of mapping
        Key columns of every slide, as in ``slide_metrics.csv``.
    licence : str
        Of the segmentation engine and its weights.
    """
    folder = results / "provenance"
    inside = [_inside(folder / name) for name in ("config.yaml", "versions.json")]
    used = list(_merged([*_slides(keys), *_weights(keys)]))
    made = list(_merged([*_cohort_files(results, files), *_object_tables(results, keys)]))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    graph = [
        _descriptor(),
        _root([*inside, *used, *made], now),
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        _not_stated(),
        _engine_licence(licence),
        _tme(),
        _run([inside[0], *used], [inside[1], *made], now),
        *inside,
        *used,
        *made,
    ]
    write_json(folder / CRATE, {"@context": CONTEXT, "@graph": graph})


def content_uri(sha256: str) -> str:
    """``ni:`` URI of a sha256 given in hexadecimal (RFC 6920, section 3)."""
    return "ni:///sha-256;" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def _descriptor() -> Entity:
    return {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": RO_CRATE},
    }


def _root(parts: Iterable[Entity], now: str) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "A run of tme",
        "description": "Settings and versions of a run of tme, the slides it read and the tables it wrote. "
        "Files outside this folder are named by their sha256; their names are paths in the results.",
        "datePublished": now,
        "license": {"@id": NOT_STATED},
        "conformsTo": {"@id": PROFILE},
        "hasPart": _references(parts),
        "mentions": {"@id": "#run"},
    }


def _not_stated() -> Entity:
    return {
        "@id": NOT_STATED,
        "@type": "CreativeWork",
        "name": "No licence was stated",
        "description": "Slides and results belong to whoever ran tme, and no licence was chosen for them.",
    }


def _engine_licence(licence: str) -> Entity:
    return {
        "@id": "#engine-licence",
        "@type": "CreativeWork",
        "name": licence,
        "description": "Terms of the segmentation engine and its weights.",
    }


def _tme() -> Entity:
    return {
        "@id": "#tme",
        "@type": "SoftwareApplication",
        "name": "tme",
        "description": "Finds cells and vessels on whole-slide biopsies and the change on treatment.",
        "softwareVersion": __version__,
        "license": {"@id": LICENCE},
    }


def _run(used: Iterable[Entity], made: Iterable[Entity], now: str) -> Entity:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"tme run, version {__version__}",
        "description": "Slides and settings to tables of cells, vessels and their change.",
        "instrument": {"@id": "#tme"},
        "object": _references(used),
        "result": _references(made),
        "endTime": now,
    }


def _references(entities: Iterable[Entity]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _inside(path: Path) -> Entity:
    return {
        "@id": path.name,
        "@type": "File",
        "name": path.stem,
        "description": {"config": "Every setting of the run."}.get(
            path.stem, "Versions of tme and its packages."
        ),
        "encodingFormat": KINDS[path.suffix],
        "contentSize": str(path.stat().st_size),
        "sha256": file_sha256(path),
    }


def _outside(name: str, sha256: str, description: str, **more: Any) -> Entity:
    return {
        "@id": content_uri(sha256),
        "@type": "File",
        "name": name,
        "description": description,
        "sha256": sha256,
        "encodingFormat": KINDS.get(Path(name).suffix, "application/octet-stream"),
        **more,
    }


def _slides(keys: Sequence[Mapping[str, Any]]) -> Iterator[Entity]:
    for row in keys:
        if row.get("slide_sha256"):
            yield _outside(row["slide_id"], row["slide_sha256"], f"Slide stained {row['stain']}.")


def _weights(keys: Sequence[Mapping[str, Any]]) -> Iterator[Entity]:
    for row in keys:
        if row.get("model_sha256"):
            licence = {"license": {"@id": "#engine-licence"}}
            yield _outside(
                str(row["model_id"]), row["model_sha256"], "Weights of the segmentation engine.", **licence
            )


def _cohort_files(results: Path, files: Mapping[str, str]) -> Iterator[Entity]:
    for name, sha256 in files.items():
        size = {"contentSize": str((results / name).stat().st_size)}
        yield _outside(name, sha256, "Table or page of the cohort.", **size)


def _object_tables(results: Path, keys: Sequence[Mapping[str, Any]]) -> Iterator[Entity]:
    for row in keys:
        manifest = read_manifest(results / "slides" / row["slide_id"])
        for name, (sha256, size) in manifest.files.items() if manifest else ():
            if name in OBJECTS:
                path = f"slides/{row['slide_id']}/{name}"
                yield _outside(path, sha256, "Objects of a slide.", contentSize=str(size))


def _merged(entities: Iterable[Entity]) -> Iterable[Entity]:
    """Entities of the same bytes become one, with every name."""
    found: dict[str, Entity] = {}
    for entity in entities:
        known = found.setdefault(entity["@id"], entity)
        others = known.get("alternateName", [])
        if entity["name"] not in (known["name"], *others):
            known["alternateName"] = [*others, entity["name"]]
    return found.values()
