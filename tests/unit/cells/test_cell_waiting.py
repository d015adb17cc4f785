"""Packed tables that wait on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tme.cells.waiting import WaitingTables


def test_tables_come_back_in_their_order_and_leave_nothing(tmp_path: Path) -> None:
    tables = [b"first", b"", b"third" * 100_000]
    with WaitingTables(tmp_path) as waiting:
        for number, table in enumerate(tables):
            waiting.add(table)
            assert waiting[number] == table
        # Reading between does not move where the next one goes.
        assert waiting[0] == tables[0]
        waiting.add(b"fourth")
        assert list(waiting) == [*tables, b"fourth"]
        assert waiting[-1] == b"fourth"
        assert waiting[1:3] == tables[1:3]
        assert len(waiting) == 4
        with pytest.raises(IndexError):
            waiting[4]
    assert list(tmp_path.iterdir()) == []
