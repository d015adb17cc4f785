"""Opened slides are closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tme.slide.open import open_slide
from tme.slide.reader import TiledSlide


@pytest.fixture
def opened() -> Iterator[Callable[..., TiledSlide]]:
    """`open_slide`, with everything closed after the test."""
    slides: list[TiledSlide] = []

    def open_one(path: Path, mpp: float | None = None) -> TiledSlide:
        slides.append(open_slide(path, mpp))
        return slides[-1]

    yield open_one
    for slide in slides:
        slide.close()
