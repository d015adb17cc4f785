"""The few numbers of a slide's page, as text."""

from __future__ import annotations

import pytest

from tme.pipeline.headline import with_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (10660.2, 9870.0, 11500.0, "10,660 /mm² (95 % interval 9,870 to 11,500)"),
        (99.96, 4.5e-7, 300.0, "100 /mm² (95 % interval <0.001 to 300)"),
        (0.1234, None, None, "0.123 /mm²"),
        (0.0, 0.0, 12.0, "0 /mm² (95 % interval 0 to 12)"),
    ],
)
def test_three_digits_and_no_power_of_ten(
    value: float, low: float | None, high: float | None, text: str
) -> None:
    assert with_interval(value, low, high, "/mm²") == text
