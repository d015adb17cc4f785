"""Freed memory is kept where the C library can, and asking for it never harms."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tme.memory import keep_freed

# Faults of the second half of forty arrays of 48 MB, written and freed one after another.
PROBE = """
import resource, sys
from tme.memory import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(40):
    if turn == 20:
        before = faults()
    bytearray(48_000_000)
print(faults() - before)
"""


def test_freed_arrays_are_used_again() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("another C library than glibc")
    plain, kept = (
        int(subprocess.run([sys.executable, "-c", PROBE, how], capture_output=True, check=True).stdout)
        for how in ("plain", "keep")
    )
    assert kept < plain / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed()
