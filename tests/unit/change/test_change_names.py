"""A metric misspelt in the settings is refused, not passed over."""

from __future__ import annotations

import pytest

from tme.change import check_names
from tme.config import ChangeSettings
from tme.errors import ConfigError


def test_the_defaults_and_registered_names_pass() -> None:
    check_names(ChangeSettings())
    check_names(ChangeSettings(rc_log2={"mvd_per_mm2": 0.4, "CD8.til_density_per_mm2": 0.7}))


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"primary_metrics": ["CD8.til_density"]}, "did you mean 'CD8.til_density_per_mm2'"),
        ({"primary_metrics": ["CD31.til_density_per_mm2"]}, "til_density_per_mm2"),
        ({"primary_metrics": ["til_density_per_mm2"]}, "til_density_per_mm2"),
        ({"rc_log2": {"mvd_per_mm": 0.4}}, "did you mean 'mvd_per_mm2'"),
        ({"rc_log2": {"positive_pct": 0.4}}, "change.rc_log2"),
    ],
)
def test_other_names_are_refused(settings: dict, meant: str) -> None:
    with pytest.raises(ConfigError, match="there is no metric") as caught:
        check_names(ChangeSettings.model_validate(settings))
    assert meant in str(caught.value)


def test_a_family_of_outcomes_is_held_against_the_metrics_too() -> None:
    check_names(ChangeSettings(), ("CD31.mvd_per_mm2", "CD8.til_fraction_pct"))
    with pytest.raises(ConfigError, match=r"outcomes\.family.*did you mean 'CD31\.mvd_per_mm2'"):
        check_names(ChangeSettings(), ("CD31.mvd_per_mm",))
