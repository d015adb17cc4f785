"""Which samples belong together: the same lesion where lesions are named, else the same patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tme.change.types import SlideResult

SAME_LESION, SAME_PATIENT, NONE = "same_lesion", "same_patient", "none"
Slides = tuple[SlideResult, ...]


@dataclass(frozen=True)
class Match:
    """Slides of two time points that are compared; one side is empty where there is no partner."""

    lesion_id: str
    pairing: str
    pre: Slides
    post: Slides


def match(pre: Sequence[SlideResult], post: Sequence[SlideResult]) -> list[Match]:
    """Match slides of one patient and stain by lesion.

    Lesions named on both sides are matched first. A side whose lesion is not named goes with the
    other side's unnamed one, or with its only lesion left. Lesions with different names are
    different lesions and stay without a partner.
    """
    before, after = _by_lesion(pre), _by_lesion(post)
    matches = {
        lesion: Match(lesion, SAME_LESION, before.pop(lesion), after.pop(lesion))
        for lesion in sorted(set(before) & set(after) - {""})
    }
    if "" in before and "" in after:
        matches[""] = Match("", SAME_PATIENT, before.pop(""), after.pop(""))
    for here, there in ((before, after), (after, before)):
        if "" in here and len(there) == 1:
            ((lesion, _),) = there.items()
            unnamed, named = here.pop(""), there.pop(lesion)
            sides = (unnamed, named) if here is before else (named, unnamed)
            matches[lesion] = Match(lesion, SAME_PATIENT, *sides)
    for lesion, slides in before.items():
        matches[lesion] = Match(lesion, NONE, slides, ())
    for lesion, slides in after.items():
        # A lesion of this name is not matched yet: it would have been taken out above.
        matches[lesion] = Match(lesion, NONE, (), slides)
    return [matches[lesion] for lesion in sorted(matches)]


def _by_lesion(slides: Sequence[SlideResult]) -> dict[str, Slides]:
    grouped: dict[str, list[SlideResult]] = {}
    for slide in slides:
        grouped.setdefault(slide.key("lesion_id"), []).append(slide)
    return {lesion: tuple(found) for lesion, found in grouped.items()}


def interval_days(pre: Sequence[SlideResult], post: Sequence[SlideResult]) -> int | None:
    """Days between two samples, from ``biopsy_day`` or else from dates; the first of each side counts."""
    days = _first_day(pre), _first_day(post)
    if days[0] is not None and days[1] is not None:
        return days[1] - days[0]
    dates = _first_date(pre), _first_date(post)
    if dates[0] is not None and dates[1] is not None:
        return (dates[1] - dates[0]).days
    return None


def _first_day(slides: Sequence[SlideResult]) -> int | None:
    days = [slide.keys.get("biopsy_day") for slide in slides]
    return min((int(day) for day in days if day not in (None, "")), default=None)


def _first_date(slides: Sequence[SlideResult]) -> date | None:
    return min((date.fromisoformat(slide.biopsy_date) for slide in slides if slide.biopsy_date), default=None)
