"""Stages of a report are timed from one beginning to the next."""

from __future__ import annotations

from crar_reports.progress import StageClock


def test_stages_are_added_up_and_shared() -> None:
    moments = iter([0.0, 1.0, 4.0, 5.0, 9.0])
    clock = StageClock(now=lambda: next(moments))
    clock.begin("lines")
    clock.begin("surface")
    clock.begin("lines")
    clock.begin("")
    clock.begin("figures")  # not ended: not counted
    assert clock.seconds == {"lines": 2.0, "surface": 3.0}
    assert clock.plain() == [{"stage": "lines", "seconds": 2.0, "share": 0.4}, {"stage": "surface", "seconds": 3.0, "share": 0.6}]
    assert clock.table().splitlines() == [
        "lines        2.00 s  40.0 %",
        "surface      3.00 s  60.0 %",
        "together     5.00 s 100.0 %",
    ]
