"""Freed memory is kept where the C library can, and asking for it never harms."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from tme.memory import keep_freed

# Faults of the second half of forty windows, each with four arrays of 24 MB that are written and freed.
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
    arrays = [bytearray(24_000_000) for _ in range(4)]
    del arrays
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
