"""The few numbers of a slide's page, as text."""

from __future__ import annotations

import pytest

from tme.pipeline.headline import with_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (10660.2, 9870.0, 11500.0, "10700 /mm² (95 % interval 9870 to 11500)"),
        (99.96, 0.0, 100.0, "100 /mm² (95 % interval 0 to 100)"),
        (0.1234, None, None, "0.123 /mm²"),
        (1234567.0, None, None, "1230000 /mm²"),
    ],
)
def test_three_digits_and_no_power_of_ten(
    value: float, low: float | None, high: float | None, text: str
) -> None:
    assert with_interval(value, low, high, "/mm²") == text
