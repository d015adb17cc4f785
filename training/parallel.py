"""Work that has nothing to share, in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def mapped(function: Callable[[Given], Made], items: Sequence[Given], workers: int) -> Iterator[Made]:
    """What a function makes of every item, in order; ``workers`` 0 or 1 is this process."""
    if workers < 2:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(function, items, chunksize=4)
