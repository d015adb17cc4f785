"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


LONG_FIRST = ("workflow", "faults")
"""Folders whose files take longest: begun last, one would keep a worker busy while the other waits."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""

    def place(item: pytest.Item) -> int:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the labelled fields and slides kept beside the checkout; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared evaluation data is not beside this checkout")
    return SHARED
