"""The DAB threshold that was used, and where it came from."""

from __future__ import annotations

from tme.metrics.family import METRICS, Family
from tme.metrics.scope import Scope
from tme.metrics.types import ColumnSpec, Estimate

COLUMNS = (
    ColumnSpec(
        "dab_threshold_od",
        "OD",
        "qc",
        "optical density of DAB from which a cell or pixel is positive",
        caveats=(
            "A threshold read from each slide for itself follows its staining; a frozen one does not.",
            "Its 95 % interval stands in qc.json and on the slide's page: of a slide's own by bootstrap over "
            "its sample, of a frozen one by how the controls differ; one from the config has none.",
        ),
        needs="dab",
    ),
    ColumnSpec(
        "threshold_source",
        "",
        "qc",
        "where the threshold came from: control (control slides of the slide's batch), calibration (of its "
        "stain, without a batch), slide (its own histogram) or config",
        needs="dab",
    ),
)


def measure(scope: Scope) -> dict[str, Estimate]:
    """See `COLUMNS`."""
    profile = scope.context.profile
    if profile is None or profile.dab_threshold_od is None:
        return {}
    return {
        "dab_threshold_od": Estimate(
            profile.dab_threshold_od,
            profile.threshold_low_od,
            profile.threshold_high_od,
            note=profile.threshold_note,
        ),
        "threshold_source": Estimate(profile.threshold_source or None),
    }


METRICS.add("threshold", Family(COLUMNS, measure, order=40))
