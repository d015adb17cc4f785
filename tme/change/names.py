"""Names in the settings of the change, held against what is registered: a typo would judge nothing."""

from __future__ import annotations

from difflib import get_close_matches

from tme.change.compare import CALLED_KINDS
from tme.config import ChangeSettings
from tme.errors import ConfigError, Problem
from tme.metrics.family import metric_columns
from tme.metrics.types import CHANGE_KINDS
from tme.stains import STAINS


def check_names(settings: ChangeSettings, family: tuple[str, ...] = ()) -> None:
    """Refuse metrics that do not exist, or not for the stain named with them.

    Parameters
    ----------
    settings : ChangeSettings
    family : tuple of str
        STAIN.metric names of ``outcomes.family``.

    Raises
    ------
    ConfigError
        With one `Problem` per name.
    """
    metrics = [column for column in metric_columns() if column.kind in CHANGE_KINDS]
    of_stains = {
        f"{name}.{column.name}": column.kind
        for name, stain in STAINS.items()
        for column in metrics
        if column.applies(stain)
    }
    called = {name for name, kind in of_stains.items() if kind in CALLED_KINDS}
    called |= {column.name for column in metrics if column.kind in CALLED_KINDS}
    problems = [
        *_unknown("change.primary_metrics", settings.primary_metrics, set(of_stains)),
        *_unknown("change.rc_log2", tuple(settings.rc_log2), called),
        *_unknown("outcomes.family", family, set(of_stains)),
    ]
    if problems:
        raise ConfigError(problems[0].what, problems=tuple(problems))


def _unknown(key: str, names: tuple[str, ...], known: set[str]) -> list[Problem]:
    problems = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            problems.append(
                Problem(
                    key,
                    f"there is no metric {name!r} here",
                    "a name nobody knows changes nothing",
                    f"did you mean {near[0]!r}?" if near else "data_dictionary.csv lists the metrics",
                )
            )
    return problems
