"""Doing things a little before they are asked for, and only once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import Event, Thread

import pytest

from appdb_router.services.ahead import Ahead
from appdb_router.services.loading import _once


def ahead(
    work: Callable[[str], str], names: str = "abc", stop: Event | None = None, room: int = 1
) -> tuple[Ahead[str], list[str], Event]:
    """Return an `Ahead`, the results that it drops, and the event of its end."""
    dropped: list[str] = []
    ended = Event()
    made = Ahead(work, names, stop=stop or Event(), room=room, drop=dropped.append, ended=ended.set)
    return made, dropped, ended


def test_as_far_ahead_as_there_is_room() -> None:
    done: list[tuple[str, bool]] = []
    begun = {name: Event() for name in "abc"}

    def work(name: str) -> str:
        done.append((name, threading.current_thread() is threading.main_thread()))
        begun[name].set()
        return name.upper()

    made, dropped, ended = ahead(work)
    assert begun["a"].wait(10)
    # There is room for one: whoever comes out of turn does it himself.
    assert made.take("c") == "C"
    assert made.take("a") == "A"
    assert begun["b"].wait(10)
    assert made.take("b") == "B"
    assert ended.wait(10)

    assert done == [("a", False), ("c", True), ("b", False)]
    assert dropped == []


def test_what_failed_is_done_again() -> None:
    tries: list[str] = []

    def work(name: str) -> str:
        tries.append(name)
        if len(tries) == 1:
            raise ValueError(name)
        return name

    made, _, ended = ahead(work, "a", room=2)

    assert ended.wait(10)
    assert made.take("a") == "a"
    assert tries == ["a", "a"]


def test_what_nobody_takes_is_dropped() -> None:
    go_on = Event()

    def work(name: str) -> str:
        if name == "b":
            raise ValueError(name)
        if name == "c":
            go_on.wait(10)
        return name

    made, dropped, ended = ahead(work, "abcd", room=3)
    while "c" not in made._begun:
        pass
    made.close()
    go_on.set()

    assert ended.wait(10)
    assert sorted(dropped) == ["a", "c"]


def test_a_stop_ends_it() -> None:
    stop = Event()
    stop.set()

    made, _, ended = ahead(str.upper, stop=stop)

    assert ended.wait(10)
    assert made.take("a") == "A"


def test_of_two_threads_one_reads() -> None:
    entered, go_on, calls = Event(), Event(), []

    @_once
    def read() -> int:
        calls.append(1)
        entered.set()
        go_on.wait(10)
        return len(calls)

    found: list[int] = []
    first = Thread(target=lambda: found.append(read()))
    first.start()
    assert entered.wait(10)
    second = Thread(target=lambda: found.append(read()))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    for thread in (first, second):
        thread.join(10)

    assert found == [1, 1]
    assert calls == [1]


@pytest.mark.parametrize("names", ["", []])
def test_nothing_to_do_takes_no_thread(names: str) -> None:
    before = threading.active_count()

    ahead(str.upper, names)

    assert threading.active_count() == before
