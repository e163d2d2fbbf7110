"""The lock and the signals that long work stands under."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from crar_model.core.errors import UserError
from crar_model.core.guards import on_signals, only_one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_a_second_ends_where_that_is_wanted(number: signal.Signals) -> None:
    asked: list[str] = []
    before = signal.getsignal(number)
    with on_signals(lambda: asked.append("stop")):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert asked == ["stop", "stop"]

    def twice() -> None:
        with on_signals(lambda: asked.append("once"), again=lambda one: signal.default_int_handler(one, None)):
            signal.raise_signal(number)
            assert asked[-1] == "once"
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert asked == ["stop", "stop", "once"]
    assert signal.getsignal(number) is before


def test_a_folder_has_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = folder / "state" / "lock", folder, "another one works there", "--out"
    refused = pytest.raises(UserError, match=r"run: another one works there; wait for it or choose another --out")
    with only_one(*words), refused, only_one(*words):
        pass
    with only_one(*words):  # free again
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot write"), only_one(tmp_path / "file" / "lock", tmp_path / "file", "", ""):
        pass


def test_a_refusal_leaves_no_folder_that_holds_nothing(tmp_path: Path) -> None:
    words = tmp_path / "run" / "state" / "lock", tmp_path / "run", "another one works there", "--out"

    def refused(file: str) -> None:
        with only_one(*words):
            if file:
                (tmp_path / file).write_text("of the user's")
            raise UserError("no such method")

    for file in ("", "run/note", "run/state/note"):
        with pytest.raises(UserError, match="no such method"):
            refused(file)
        assert (tmp_path / "run").exists() == bool(file)
        assert not file or (tmp_path / file).exists()
