"""The lock and the signals that long work stands under."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crar_model.core.errors import UserError
from crar_model.core.files import is_empty
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
    words = tmp_path / "run", "another one works there", "state/lock"

    def take() -> None:
        with only_one(*words):
            assert (tmp_path / "run" / "state" / "lock").exists()

    with ThreadPoolExecutor() as others, only_one(*words):
        with pytest.raises(UserError, match=r"run: another one works there; wait for it or choose another --out"):
            others.submit(take).result()
        take()  # what the one calls is no other
        with pytest.raises(UserError, match="another one works there"):
            others.submit(take).result()
    take()  # free again
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot write"), only_one(tmp_path / "file", ""):
        pass


def test_what_nothing_was_written_to_is_gone_again(tmp_path: Path) -> None:
    def refused(file: str) -> None:
        with only_one(tmp_path / "runs" / "run", "another one works there", "state/lock"):
            if file:
                (tmp_path / file).write_text("of the user's")
            raise UserError("no such method")

    for file, left in (("", ""), ("runs/run/note", "runs/run"), ("runs/run/state/note", "runs/run/state")):
        with pytest.raises(UserError, match="no such method"):
            refused(file)
        assert (tmp_path / "runs").exists() == bool(file)
        assert not file or [path.name for path in (tmp_path / left).iterdir()] == ["note"]


def test_a_folder_of_the_user_stays(tmp_path: Path) -> None:
    with only_one(tmp_path / "own", "another one works there"):
        assert not is_empty(tmp_path)
        assert is_empty(tmp_path / "own")
    (tmp_path / "own").mkdir()
    with only_one(tmp_path / "own", "another one works there"):
        pass
    assert (tmp_path / "own").is_dir()
    assert not list((tmp_path / "own").iterdir())
