"""Which fields are held out of a fine-tuning to judge it by: whole patients, chosen by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tme.learn.field import Field

LEAST_FIELDS = 3


@dataclass(frozen=True, eq=False)
class Parts:
    """Fields to learn from and fields to judge by.

    Attributes
    ----------
    learn, held : list of Field
    by_patient : bool
        Whether no patient is on both sides.
    """

    learn: list[Field]
    held: list[Field]
    by_patient: bool = True


def hold_out(fields: Sequence[Field], share: float, seed: int) -> Parts:
    """Hold out about ``share`` of the fields, at least one where there are three or more.

    Patients stay together. Where all fields are one patient's, fields are held out of that patient.
    """
    if len(fields) < LEAST_FIELDS or share == 0:
        return Parts(list(fields), [])
    patients = sorted({field.patient for field in fields})
    by_patient = len(patients) > 1
    groups = [[k for k, f in enumerate(fields) if f.patient == p] for p in patients]
    if not by_patient:
        groups = [[k] for k in range(len(fields))]
    wanted = max(1, round(share * len(fields)))
    held: set[int] = set()
    left = len(groups)
    for place in np.random.default_rng(seed).permutation(len(groups)):
        if held and (len(held) >= wanted or left == 1):
            break
        # A patient with most of the fields would leave too little to learn from.
        if len(held) + len(groups[place]) <= max(wanted, len(fields) // 2):
            held |= set(groups[place])
            left -= 1
    if not held:
        held = set(sorted(groups, key=len)[0])
    return Parts(
        [f for k, f in enumerate(fields) if k not in held],
        [f for k, f in enumerate(fields) if k in held],
        by_patient,
    )
