"""The crate of a run under the validator of its profile, and as the RO-Crate library reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.made_slides import keys_of
from tme.config import Config
from tme.pipeline.provenance import write_provenance
from tme.pipeline.run_crate import CRATE, write_crate
from tme.safety import file_sha256

LICENCE = "weights for anybody"
# What is recommended and not known: who ran tme and publishes the results, a page of the program on the web;
# and what a hash does not allow: to fetch the file it names.
NOT_KNOWN = {"process-run-crate-0.5_8.6", "ro-crate-1.1_22.2", "ro-crate-1.1_22.3"}
NOT_ON_THE_WEB = {"process-run-crate-0.5_3.2", "process-run-crate-0.5_5.1", "ro-crate-1.1_28.1"}


@pytest.fixture
def crate(results: Path, tmp_path: Path) -> Path:
    """``provenance/`` of the made results, whose cohort was one table."""
    for name in ("slides", "slide_metrics.csv"):
        (tmp_path / name).symlink_to(results / name)
    write_provenance(tmp_path, Config())
    keys = [
        {
            **keys_of(name, "HE"),
            "slide_sha256": f"{place:02x}" * 32,
            "model_id": "net-1",
            "model_sha256": "cd" * 32,
        }
        for place, name in enumerate(("A_HE", "A_CD8", "A_CD31"))
    ]
    keys.append({"slide_id": "B_HE", "stain": "HE", "status": "failed"})
    files = {"slide_metrics.csv": file_sha256(tmp_path / "slide_metrics.csv")}
    write_crate(tmp_path, files, keys, LICENCE)
    return tmp_path / "provenance"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The context of RO-Crate from the RO-Crate library: there is no network where tests run."""
    import rdflib.plugins.shared.jsonld.context as context
    import rocrate
    from rocrate_validator.utils.http import HttpRequester

    terms = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())
    document = {"@context": terms["@context"]}

    class Answer:
        status_code = 200
        headers = {"Content-Type": "application/ld+json"}  # noqa: RUF012

        def json(self) -> Any:
            return document

    def asked(url: str) -> None:
        assert url == "https://w3id.org/ro/crate/1.1/context"

    def loaded(source: Any, *_: Any, **__: Any) -> Any:
        asked(source)
        return document, None

    def get(_: Any, url: str, **__: Any) -> Answer:
        asked(url)
        return Answer()

    monkeypatch.setattr(context, "source_to_json", loaded)
    monkeypatch.setattr(HttpRequester, "get", get, raising=False)


def findings(crate: Path, severity: str) -> set[str]:
    """Identifiers of the checks that fail, of the profile and of RO-Crate itself."""
    from rocrate_validator import models, services

    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier="process-run-crate",
        requirement_severity=models.Severity[severity],
    )
    return {issue.check.identifier for issue in services.validate(settings).get_issues()}


@pytest.mark.usefixtures("offline")
def test_it_is_a_process_run_crate(crate: Path) -> None:
    assert findings(crate, "RECOMMENDED") <= NOT_KNOWN | NOT_ON_THE_WEB


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("entity", "key", "check"),
    [("./", "license", "ro-crate-1.1_8.3"), ("#run", "instrument", "process-run-crate-0.5_1.1")],
)
def test_the_validator_is_awake(crate: Path, entity: str, key: str, check: str) -> None:
    document = json.loads((crate / CRATE).read_text())
    for one in document["@graph"]:
        if one["@id"] == entity:
            del one[key]
    (crate / CRATE).write_text(json.dumps(document))
    assert check in findings(crate, "REQUIRED")


def test_the_library_reads_what_was_used_and_made(crate: Path) -> None:
    from rocrate.rocrate import ROCrate

    read = ROCrate(crate)
    action = read.get("#run")
    assert action["instrument"]["name"] == "tme"
    used = {entity["name"] for entity in action["object"]}
    assert used == {"config", "A_HE", "A_CD8", "A_CD31", "net-1"}
    made = {entity["name"] for entity in action["result"]}
    assert made == {
        "versions", "slide_metrics.csv", "slides/A_HE/cells.parquet",
        "slides/A_CD8/cells.parquet", "slides/A_CD31/vessels.parquet",
    }  # fmt: skip
    weights = next(entity for entity in action["object"] if entity["name"] == "net-1")
    assert weights["license"]["name"] == LICENCE
