"""A trained network's description: which files, how their answers are read, what they were trained on.

A JSON file beside the weights. It pins every weights file by sha256, so that whoever pins the description
pins everything.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tme.cells.instances import Decoding, Instances, log_size, sureness
from tme.errors import ConfigError, EngineError
from tme.safety import verify_sha256

Precision = Literal["fp32", "int8"]
Values = NDArray[np.float64]
TRAINED_MPP = 0.5
"""µm/px of training and of the fields thresholds are chosen on."""
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsFile(_Part):
    """One ONNX file beside the description."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.onnx$")
    sha256: str = Sha256


class Reading(_Part):
    """`tme.cells.instances.Decoding` as it stands in the file.

    Attributes
    ----------
    dab_centre : float, optional
        ``centre`` on DAB sections, where a counterstain alone shows the nuclei and peaks are lower.
    """

    nucleus: float = Field(gt=0, lt=1)
    centre: float = Field(gt=0, lt=1)
    smooth_px: float = Field(ge=0, le=5)
    apart_px: int = Field(ge=1, le=15)
    reach_px: float = Field(gt=0, le=40)
    least_um2: float = Field(gt=0, le=100)
    dab_centre: float | None = Field(default=None, gt=0, lt=1)

    def decoding(self, dab: bool = False) -> Decoding:
        """The rule the decoder takes, on H&E or on a DAB section."""
        rule = Decoding(**self.model_dump(exclude={"dab_centre"}))
        return replace(rule, centre=self.dab_centre) if dab and self.dab_centre else rule


class Calibration(_Part):
    """How likely what was found is a lymphocyte, not another nucleus or none: a logistic curve (Platt 1999).

    Attributes
    ----------
    slope, intercept : float
        Of the network's logit of lymphocyte.
    peak : float
        Of the logit of the centre's probability: a nucleus the network is hardly sure of is less often a
        lymphocyte than its colour says.
    size, size_squared : float
        Of the logarithm of the area over 30 µm², and of its square: lymphocytes are of one size, fragments
        are smaller, most tumour nuclei larger.
    least : float
        Probability from which on it is called one.
    """

    slope: float = Field(gt=0, le=20)
    intercept: float = Field(ge=-20, le=20)
    peak: float = Field(default=0.0, ge=0, le=20)
    size: float = Field(default=0.0, ge=-20, le=20)
    size_squared: float = Field(default=0.0, ge=-20, le=0)
    least: float = Field(default=0.5, gt=0, lt=1)

    def score(self, found: Instances, mpp: float = TRAINED_MPP) -> Values:
        """(n,) How far above the least probability, on its logit: from 0 on it is called a lymphocyte."""
        return self.logit_of(found, mpp) - np.log(self.least / (1 - self.least))

    def logit_of(self, found: Instances, mpp: float = TRAINED_MPP) -> Values:
        """(n,) logit of the probability, of what was found at ``mpp`` µm/px."""
        return self.logit(found.lymphocyte.astype(np.float64), sureness(found), log_size(found, mpp))

    def logit(self, lymphocyte: Values, sure: Values, size: Values) -> Values:
        """The same from what it is made of: two logits and the logarithm of the size."""
        shape = self.size * size + self.size_squared * size**2
        return self.slope * lymphocyte + self.peak * sure + shape + self.intercept


class Description(_Part):
    """What a network is.

    Attributes
    ----------
    model_id : str
    mpp : float
        µm/px the network was trained at.
    files : dict
        ``fp32`` and, where it was made, ``int8``.
    reading : Reading
    calibration : Calibration
    domain : dict of str to (low, high)
        Ranges of the training fields, by the name of the measure (`tme.cells.domain`).
    licence, data : str
        Terms of the weights and what they were trained on, in a sentence each.
    """

    model_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    mpp: float = Field(ge=0.1, le=1)
    files: dict[Precision, WeightsFile] = Field(min_length=1)
    reading: Reading
    calibration: Calibration
    domain: dict[str, tuple[float, float]] = {}
    licence: str
    data: str


def read_description(path: Path) -> Description:
    """Read and check a description.

    Raises
    ------
    ConfigError
        If it is not one.
    """
    try:
        return Description.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the weights' description cannot be read",
            where=str(path.name),
            why=str(error).splitlines()[0],
            fix="name the .json file that `tme train` wrote beside the weights",
        ) from error


def weights_file(description: Description, folder: Path, precision: Precision) -> tuple[Path, str]:
    """Path and checked sha256 of the weights of a precision; fp32 where there is no other.

    Raises
    ------
    EngineError
        If the file is not there.
    ConfigError
        If it is not the one the description pins.
    """
    chosen = description.files.get(precision) or description.files.get("fp32")
    if chosen is None:
        raise EngineError(
            f"the network has no {precision} weights",
            where=description.model_id,
            fix="set cells.precision: int8",
        )
    path = folder / chosen.name
    if not path.is_file():
        raise EngineError(
            "the weights are not there",
            where=str(path.name),
            why="the description names a file beside it",
            fix="keep the description and its weights in one folder",
        )
    verify_sha256(path, chosen.sha256)
    return path, chosen.sha256
