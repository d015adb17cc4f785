"""A slide's outcome: ok, failed or excluded. The one broad ``except`` of the project is here."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tme.errors import BusyError, Problem, SpaceError, TmeError
from tme.safety import error_text
from tme.store import read_json, write_json

log = logging.getLogger("tme")

OUTCOME = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """How a slide's job ended.

    Attributes
    ----------
    slide_id : str
    status : {"ok", "failed", "excluded"}
    plan_key : str
        Key the job ran under; `tme.pipeline.plan` compares it to see whether the slide is done.
    what, where, why, fix : str
        For failed slides as in `tme.errors.Problem`; for excluded ones ``what`` is the reason.
    cautions : tuple of str
    """

    slide_id: str
    status: str
    plan_key: str
    what: str = ""
    where: str = ""
    why: str = ""
    fix: str = ""
    cautions: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """One line for tables: empty when ok."""
        return " · ".join(part for part in (self.what, self.why, self.fix) if part)

    def save(self, folder: Path) -> None:
        """Write ``outcome.json`` into the slide's folder."""
        write_json(folder / OUTCOME, {**asdict(self), "cautions": list(self.cautions)})


def load_outcome(folder: Path) -> Outcome | None:
    """The outcome saved in a slide's folder, or None if there is none that can be read."""
    path = folder / OUTCOME
    if not path.is_file():
        return None
    try:
        raw: dict[str, Any] = read_json(path)
        return Outcome(**{**raw, "cautions": tuple(raw["cautions"])})
    except (TmeError, TypeError, KeyError):
        return None


def failed(slide_id: str, plan_key: str, problem: Problem) -> Outcome:
    """The outcome of a slide that met ``problem``."""
    return Outcome(slide_id, "failed", plan_key, problem.what, problem.where, problem.why, problem.fix)


def guarded(slide_id: str, plan_key: str, job: Callable[[], Outcome]) -> Outcome:
    """Run a slide's job; whatever it raises becomes a failed outcome of this slide alone.

    A full disk and a busy folder are not the slide's fault and go on up.
    """
    try:
        return job()
    except (SpaceError, BusyError):
        raise
    except TmeError as error:
        log.info("%s failed: %s", slide_id, error)
        return failed(slide_id, plan_key, error.problem)
    except MemoryError:
        return failed(
            slide_id,
            plan_key,
            Problem(
                slide_id,
                "out of memory",
                "the slide needs more than this process may use",
                "raise run.memory_mb or lower run.workers",
            ),
        )
    except Exception as error:  # noqa: BLE001 - the boundary that keeps one slide from stopping another
        log.error("%s: unexpected\n%s", slide_id, traceback.format_exc())
        return failed(
            slide_id,
            plan_key,
            Problem(
                slide_id,
                "an unexpected error (a bug in tme)",
                f"{type(error).__name__}: {error_text(error)}",
                "please report it with the traceback in logs/",
            ),
        )
