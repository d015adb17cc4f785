"""Settings: defaults documented, wrong keys named, hashes that cover what matters."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from tme.config import Config, load_config
from tme.errors import ConfigError
from tme.pipeline.config_docs import config_schema, default_yaml

ROOT = Path(__file__).resolve().parents[3]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_file_and_schema_say_what_the_classes_say() -> None:
    assert (ROOT / "configs" / "default.yaml").read_text(encoding="utf-8") == default_yaml()
    assert (ROOT / "workflows" / "schemas" / "config.schema.json").read_text(
        encoding="utf-8"
    ) == config_schema()
    jsonschema.validate(yaml.safe_load(default_yaml()), yaml.safe_load(config_schema()))


def test_the_default_file_changes_nothing() -> None:
    assert load_config(ROOT / "configs" / "default.yaml") == Config()


def test_every_key_is_described() -> None:
    for section in Config.model_fields.values():
        for name, field in section.annotation.model_fields.items():
            assert field.description, name


def test_a_wrong_key_is_named_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "tissue: {mp: 4}\ncells: {engine: watershed, min_area_um2: -1}\n"))
    assert len(caught.value.problems) == 2
    assert "did you mean 'tissue.mpp'" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "a: [\n",
        "? [a]\n: 1\n",
        "tissue: {mpp: .nan}\n",
        "cohort: {primary_pair: [on_treatment, baseline]}\n",
        "cohort: {timepoints: [baseline, Baseline]}\n",
        "cohort: {timepoints: [baseline, ' ']}\n",
        "cells: {min_area_um2: 50, max_area_um2: 50}\n",
        "change: {primary_compartment: tumor}\n",
    ],
)
def test_what_is_not_a_configuration_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize("key", ["family", "covariates"])
def test_a_name_given_twice_is_refused(tmp_path: Path, key: str) -> None:
    """A test counted twice would be adjusted for too little."""
    twice = "CD8.til_density_per_mm2, CD8.til_density_per_mm2"
    with pytest.raises(ConfigError, match=r"CD8\.til_density_per_mm2 is given twice"):
        load_config(written(tmp_path, f"outcomes: {{{key}: [{twice}]}}\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_the_hash_covers_results_and_not_who_computes() -> None:
    base = Config()
    assert Config.model_validate({"run": {"workers": 7, "task_px": 4096}}).sha256() == base.sha256()
    assert Config.model_validate({"outcomes": {"covariates": ["age"]}}).sha256() == base.sha256()
    assert Config.model_validate({"tissue": {"mpp": 5}}).sha256() != base.sha256()


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "utf16.yaml").write_bytes("tissue: {mpp: 4}\n".encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "utf16.yaml")


def test_weights_are_found_from_wherever_a_job_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "cells: {weights: models/net}\n")
    named = next(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert load_config(Path(named.name)).cells.weights == str(tmp_path / "models" / "net")
    assert load_config(named).sha256() == Config().sha256()
