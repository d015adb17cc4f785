"""What can be set: frozen, one class per stage; every key has unit and range.

`Config.stage_hash` covers what can change a result. What cannot (tiles, workers, scheduler, paths)
sits in `RunSettings` and is left out, so that who computes never shows in a table.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

Positive = Annotated[float, Field(gt=0)]
REPEATABILITY_FORMAT = "repeatability coefficients, version 1"


class Settings(BaseModel):
    """Base of all settings: frozen, and a key that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SYNONYMS = {
    "pre": "baseline",
    "before": "baseline",
    "screening": "baseline",
    "C1D1": "baseline",
    "on": "on_treatment",
    "C2D1": "on_treatment",
    "C3D1": "on_treatment",
}
FamilyTest = Literal["wilcoxon", "mann_whitney", "firth_logistic", "ancova", "spearman", "cox_pfs", "cox_os"]
STRATA: dict[str, tuple[str, ...]] = {"LMS": ("leiomyosarcoma", "lms"), "LPS": ("liposarcoma", "lps")}
ALIASES = {
    "tumour": "Tumor",
    "tumor": "Tumor",
    "stroma": "Stroma",
    "peritumour": "Peritumour",
    "peritumor": "Peritumour",
    "necrosis": "Necrosis",
    "exclude": "Exclude",
    "ignore*": "Exclude",
}


def _added_to(defaults: dict[str, str]) -> BeforeValidator:
    """A user's own words are added to the default ones and win over them."""
    return BeforeValidator(lambda own: {**defaults, **own} if isinstance(own, dict) else own)


class CohortSettings(Settings):
    """How sheets and folder names are read."""

    timepoints: tuple[str, ...] = Field(
        ("baseline", "on_treatment"),
        min_length=1,
        description="Time points in the order of treatment; every earlier-later pair is compared.",
    )
    synonyms: Annotated[dict[str, str], _added_to(SYNONYMS)] = Field(
        default_factory=lambda: dict(SYNONYMS),
        description="Other words for a time point, compared without case; yours are added to these.",
    )
    primary_pair: tuple[str, str] | None = Field(
        None, description="The pair patient_metrics.csv shows; the first two time points if empty."
    )
    name_pattern: str = Field(
        r"(?P<patient_id>[^/_]+)[_/](?P<timepoint>{timepoint})[_/](?P<stain>{stain})(?:[^A-Za-z0-9].*)?\.[^/]+",
        description="Regular expression for slides in a folder without a sheet, on the path below it; "
        "{timepoint} and {stain} stand for every word known for them.",
    )

    @field_validator("timepoints")
    @classmethod
    def _timepoints_differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(name.strip() for name in names):
            raise ValueError("a time point has no name")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("a time point is given twice")
        return names

    @field_validator("name_pattern")
    @classmethod
    def _pattern_names_its_groups(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern.replace("{timepoint}", "x").replace("{stain}", "x")).groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        missing = [name for name in ("patient_id", "timepoint", "stain") if name not in groups]
        if missing:
            raise ValueError(f"the pattern has no group (?P<{missing[0]}>...)")
        return pattern


class TissueSettings(Settings):
    """Tissue, pen, folds, blur."""

    mpp: Positive = Field(4.0, description="µm/px of the tissue mask.", ge=1, le=16)
    min_piece_mm2: float = Field(
        0.02, ge=0, le=1, description="mm²; smaller pieces are dropped unless they touch the edge."
    )
    max_hole_mm2: float = Field(
        0.01, ge=0, le=1, description="mm²; smaller holes count as tissue (fat, vessels)."
    )
    detect_artefacts: bool = Field(True, description="Find pen, folds, blur, bubbles and cover-slip edges.")


class StainSettings(Settings):
    """Deconvolution and the DAB threshold, fixed once per slide."""

    sample_windows: int = Field(
        64, ge=4, le=1000, description="Windows of the seeded sample the stain estimate is made from."
    )
    calibration: str | None = Field(
        None,
        description="File of `tme calibrate` with thresholds from control slides; relative to the file that "
        "names it. A stain or batch it lacks takes its threshold from the slide itself.",
    )
    calibration_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="sha256 the calibration must give for itself; may be empty.",
    )
    dab_threshold_od: float | None = Field(
        None, gt=0, le=3, description="OD; empty: from the calibration, else from the slide itself."
    )
    seed: int = Field(0, ge=0, description="Seed of every random choice within a slide.")

    @model_validator(mode="after")
    def _one_threshold(self) -> StainSettings:
        if self.calibration is not None and self.dab_threshold_od is not None:
            raise ValueError("calibration and dab_threshold_od both name the threshold; leave one empty")
        return self


OWN_NETWORK = "tmenet"
"""Name of the default engine, which alone averages views."""


class CellSettings(Settings):
    """Segmentation and classification of cells."""

    engine: str = Field(OWN_NETWORK, description="A registered segmenter.")
    mpp: Positive | None = Field(
        None, ge=0.1, le=1, description="µm/px to work at; empty: what the engine says."
    )
    min_area_um2: Positive | None = Field(
        None, le=100, description="µm²; smaller nuclei are dropped; empty: what the engine says."
    )
    max_area_um2: Positive = Field(400.0, le=2000, description="µm²; larger objects are dropped.")
    weights: str | None = Field(
        None,
        description="Path of the weights, for engines that need them; relative to the file that names it.",
    )
    weights_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="sha256 the weights must have; may be empty for published weights tme knows.",
    )
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Where a network runs.")
    precision: Literal["fp32", "int8"] = Field(
        "int8",
        description="Arithmetic of tme's own network: int8 is faster, fp32 alike on more machines.",
    )
    views: Literal[1, 2, 4, 8] = Field(
        1,
        description="Turned, mirrored and shifted views of each window whose mean answer tme's own network "
        "gives: outlines get closer to those drawn by hand, each view takes as long as one.",
    )

    @model_validator(mode="after")
    def _settings_agree(self) -> CellSettings:
        if self.min_area_um2 is not None and self.min_area_um2 >= self.max_area_um2:
            raise ValueError("min_area_um2 must be below max_area_um2, or no nucleus is left")
        if self.views > 1 and self.engine != OWN_NETWORK:
            raise ValueError(f"views are averaged by engine {OWN_NETWORK} alone; leave them at 1")
        return self


class VesselSettings(Settings):
    """Vessels on CD31/CD34."""

    mpp: Positive = Field(
        0.5, ge=0.25, le=1.1, description="µm/px of the vessel mask; never finer than the slide itself."
    )
    join_um: Positive = Field(4.0, le=20, description="µm; fragments closer than this are one vessel.")
    line_um: float = Field(
        14.0, ge=0, le=50, description="µm; stretches that lie end to end closer than this are one vessel."
    )
    min_area_um2: Positive = Field(30.0, le=500, description="µm² of filled vessel; smaller is a speck.")
    min_lumen_um: Positive = Field(
        4.0, le=20, description="µm; equivalent diameter from which a hole is a lumen."
    )
    max_lumen_um: Positive = Field(
        300.0, ge=20, le=2000, description="µm; equivalent diameter up to which an enclosed hole is filled."
    )
    grow: Positive = Field(
        0.75, le=1, description="Share of the DAB threshold to which a vessel grows from its positive pixels."
    )
    max_leucocyte_um: float = Field(
        15.0, ge=0, le=30, description="µm; round solid objects up to this long are leucocytes; 0 keeps all."
    )


class MetricSettings(Settings):
    """What makes a slide evaluable, and intervals."""

    min_area_mm2: Positive = Field(1.0, description="mm² of evaluable area.")
    min_nuclei: int = Field(500, ge=0, description="Nuclei, for cell metrics.")
    block_mm2: Positive = Field(1.0, description="mm² of a block for overdispersion.")
    cluster_um: Positive = Field(
        150.0, le=1000, description="µm; SD of a cluster's cells about its middle, for the borders of blocks."
    )
    overdispersion_prior: float = Field(6.0, ge=1, description="φ used with fewer than 4 blocks.")
    bootstrap: int = Field(500, ge=100, le=10000, description="Replicates of the block bootstrap.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap and of random patterns.")
    mvd_field_mm2: Positive = Field(0.74, description="mm² of a hotspot field.")


class RegionSettings(Settings):
    """Annotations and compartments."""

    aliases: Annotated[dict[str, str], _added_to(ALIASES)] = Field(
        default_factory=lambda: dict(ALIASES),
        description="Annotation class names, compared without case, and the class they stand for; yours are"
        " added to these.",
    )

    @field_validator("aliases")
    @classmethod
    def _classes_exist(cls, aliases: dict[str, str]) -> dict[str, str]:
        known = ("Tumor", "Stroma", "Peritumour", "Necrosis", "Exclude")
        unknown = [name for name in aliases.values() if name not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return aliases


class ChangeSettings(Settings):
    """When a difference is called a change."""

    rc_log2: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="log2 repeatability coefficient per metric or STAIN.metric; where not given, that of "
        "change.repeatability, else 1.0.",
    )
    repeatability: str | None = Field(
        None, description="File of `tme repeatability`, relative to the file that names it."
    )
    repeatability_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Hash the content of that file must have; taken from it where not given.",
    )
    _repeats: dict[str, float] = PrivateAttr(default_factory=dict)

    @property
    def repeats(self) -> dict[str, float]:
        """STAIN.metric -> coefficient from the file of ``repeatability``."""
        return self._repeats

    @model_validator(mode="after")
    def _hash_has_its_file(self) -> ChangeSettings:
        if self.repeatability_sha256 and not self.repeatability:
            raise ValueError("repeatability_sha256 is the hash of a file that repeatability does not name")
        return self

    primary_compartment: Literal["auto", "evaluable", "tumour", "peritumour", "stroma"] = Field(
        "auto", description="'auto': tumour where annotated, else evaluable; or a compartment."
    )
    primary_metrics: tuple[str, ...] = Field(
        ("CD8.til_density_per_mm2", "HE.til_density_per_mm2", "CD31.mvd_per_mm2"),
        description="STAIN.metric shown first in patient_metrics.csv.",
    )


class OutcomeSettings(Settings):
    """Tests of the change against the outcome (`tme associate`); no number of a run depends on them."""

    family: tuple[str, ...] = Field(
        (),
        description="STAIN.metric of the declared family; change.primary_metrics if empty.",
    )
    family_tests: tuple[FamilyTest, ...] = Field(
        ("wilcoxon", "mann_whitney", "spearman", "cox_pfs", "cox_os"),
        description="Tests of the family, one for each question, over which p-values are adjusted.",
    )
    strata: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(STRATA),
        description="Strata the family is tested in too: name, and how words of 'histology' in it end.",
    )
    covariates: tuple[str, ...] = Field(
        (),
        description="Columns of outcomes.csv to adjust for, in order; at most one term to ten events.",
    )

    @field_validator("family", "family_tests", "covariates")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Named twice, a test would be counted twice in the adjustment of p-values."""
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is given twice; name each once")
        return names


class OverlaySettings(Settings):
    """What the pathologist looks at."""

    fields: int = Field(6, ge=1, le=50, description="Fields shown at full resolution per slide.")
    field_um: Positive = Field(400.0, le=2000, description="µm; side of a field.")


class RunSettings(Settings):
    """Who computes and how; never changes a number."""

    task_px: int = Field(2048, ge=512, le=16384, description="Side of one task in working pixels.")
    workers: int = Field(1, ge=1, le=512, description="Workers inside one slide.")
    scheduler: str = Field(
        "threads",
        description="serial, threads, processes, or tcp://host:port of a Dask scheduler.",
        pattern=r"^(serial|threads|processes|tcp://[A-Za-z0-9.\-\[\]:]+)$",
    )
    memory_mb: int = Field(2000, ge=500, description="MB planned per worker.")
    timeout_s: Positive = Field(3600.0, description="s; longest wait for one task of a Dask scheduler.")
    batch_mb: Positive = Field(
        8.0, description="MB of slide files up to which small slides share one process."
    )


class Config(Settings):
    """All settings of a run."""

    cohort: CohortSettings = Field(default_factory=CohortSettings)
    tissue: TissueSettings = Field(default_factory=TissueSettings)
    stain: StainSettings = Field(default_factory=StainSettings)
    cells: CellSettings = Field(default_factory=CellSettings)
    vessels: VesselSettings = Field(default_factory=VesselSettings)
    regions: RegionSettings = Field(default_factory=RegionSettings)
    metrics: MetricSettings = Field(default_factory=MetricSettings)
    change: ChangeSettings = Field(default_factory=ChangeSettings)
    outcomes: OutcomeSettings = Field(default_factory=OutcomeSettings)
    overlay: OverlaySettings = Field(default_factory=OverlaySettings)
    run: RunSettings = Field(default_factory=RunSettings)

    @model_validator(mode="after")
    def _pair_is_known(self) -> Config:
        pair = self.cohort.primary_pair
        if pair is not None:
            order = self.cohort.timepoints
            missing = [name for name in pair if name not in order]
            if missing:
                raise ValueError(f"primary_pair names {missing[0]!r}, which is not in timepoints")
            if order.index(pair[0]) >= order.index(pair[1]):
                raise ValueError("primary_pair must be in the order of timepoints")
        return self

    def sha256(self) -> str:
        """Hash of every key that can change a run's results: not who computes, nor what is tested later."""
        # A file counts by its content (`weights_sha256`, the model's hash, and the sha256 beside each key),
        # not by its path.
        left_out: Any = {
            "run": True,
            "outcomes": True,
            "cells": {"weights"},
            "stain": {"calibration"},
            "change": {"repeatability"},
        }
        return settings_hash(self.model_dump(mode="json", exclude=left_out))


def settings_hash(settings: Any) -> str:
    """sha256 of settings (a model or plain JSON value) in canonical form."""
    if isinstance(settings, BaseModel):
        settings = settings.model_dump(mode="json")
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
