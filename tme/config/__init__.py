"""Settings: read once from YAML, checked, frozen."""

from tme.config.load import load_config
from tme.config.settings import (
    OWN_NETWORK,
    REPEATABILITY_FORMAT,
    CellSettings,
    ChangeSettings,
    CohortSettings,
    Config,
    MetricSettings,
    OutcomeSettings,
    OverlaySettings,
    RegionSettings,
    RunSettings,
    Settings,
    StainSettings,
    TissueSettings,
    VesselSettings,
    settings_hash,
)

__all__ = [
    "OWN_NETWORK",
    "REPEATABILITY_FORMAT",
    "CellSettings",
    "ChangeSettings",
    "CohortSettings",
    "Config",
    "MetricSettings",
    "OutcomeSettings",
    "OverlaySettings",
    "RegionSettings",
    "RunSettings",
    "Settings",
    "StainSettings",
    "TissueSettings",
    "VesselSettings",
    "load_config",
    "settings_hash",
]
