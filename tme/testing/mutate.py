"""Seeded damage to files, for tests that a broken slide fails by name and harms no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tme.errors import ConfigError

Mutator = Callable[[bytes, np.random.Generator], bytes]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off the end: 1 % to 99 % of the bytes are kept, as by a copy that broke off."""
    return data[: max(1, int(len(data) * rng.uniform(0.01, 0.99)))]


def flip_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Change 1 to 64 single bytes anywhere, each to another value."""
    out = np.frombuffer(data, np.uint8).copy()
    where = rng.integers(0, len(out), int(rng.integers(1, 65)))
    out[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
    return _changed(data, out)


def flip_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Change 1 to 8 bytes among the first 512, where most formats say what they are."""
    out = np.frombuffer(data, np.uint8).copy()
    where = rng.integers(0, min(512, len(out)), int(rng.integers(1, 9)))
    out[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
    return _changed(data, out)


def zero_range(data: bytes, rng: np.random.Generator) -> bytes:
    """Zero a run of up to a tenth of the file, as a bad sector does."""
    out = np.frombuffer(data, np.uint8).copy()
    length = int(rng.integers(1, max(2, len(out) // 10 + 1)))
    start = int(rng.integers(0, max(1, len(out) - length + 1)))
    out[start : start + length] = 0
    return _changed(data, out)


def _changed(data: bytes, out: np.ndarray) -> bytes:
    """``out`` as bytes; where the damage cancelled out, the last byte is turned over instead."""
    result = out.tobytes()
    return result if result != data else result[:-1] + bytes([result[-1] ^ 0xFF])


MUTATORS: dict[str, Mutator] = {
    "truncate": truncate,
    "flip_bytes": flip_bytes,
    "flip_header": flip_header,
    "zero_range": zero_range,
}


def mutate(data: bytes, name: str, seed: int) -> bytes:
    """Damage ``data`` with one of `MUTATORS`; same seed, same damage; never equal to ``data``.

    Raises
    ------
    ConfigError
        For an unknown name or fewer than two bytes.
    """
    if name not in MUTATORS or len(data) < 2:
        raise ConfigError(
            f"cannot damage {len(data)} bytes with {name!r}",
            where="mutate",
            why=f"mutators are {', '.join(MUTATORS)}; two bytes are the least",
            fix="choose one of them",
        )
    return MUTATORS[name](data, np.random.default_rng(seed))
