"""Doing several things at once: the order, the threads, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from graphlib import CycleError

import pytest

from appdb_router.services.scheduling import run_in_order

run = partial(run_in_order, after={}, jobs=1, stop=threading.Event())


@pytest.mark.parametrize("jobs", [1, 4])
def test_each_waits_for_those_it_names(jobs: int) -> None:
    after = {"b": ["a"], "c": ["a", "elsewhere"], "d": {"c", "b"}}
    done: list[str] = []

    def work(name: str) -> str:
        assert {*after.get(name, ())} - {"elsewhere"} <= {*done}
        done.append(name)
        return name

    results = [*run(["d", "c", "b", "a"], work, after=after, jobs=jobs)]

    assert (results[0], results[-1], len(results)) == ("a", "d", 4)


def test_one_at_a_time_in_the_order_given_and_in_this_thread() -> None:
    threads = [*run(["z", "m", "a"], lambda name: (name, threading.current_thread()))]

    assert threads == [(name, threading.current_thread()) for name in "zma"]


def test_as_many_at_once_as_asked_for() -> None:
    meeting = threading.Barrier(3, timeout=60)
    lock, inside, most = threading.Lock(), 0, 0

    def work(name: str) -> str:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        meeting.wait()
        with lock:
            inside -= 1
        return name

    results = [*run(list("abcdef"), work, jobs=3)]

    assert (sorted(results), most) == (list("abcdef"), 3)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_what_is_raised_is_raised_again(jobs: int, error: type[BaseException]) -> None:
    def work(name: str) -> str:
        raise error(name)

    with pytest.raises(error, match="a"):
        [*run(["a"], work, jobs=jobs)]


def test_who_is_busy_is_not_waited_for() -> None:
    """Nor begins he anything else."""
    begun: list[str] = []
    is_busy, is_over, has_left = threading.Event(), threading.Event(), threading.Event()

    def work(name: str) -> str:
        begun.append(name)
        if name == "a":
            is_busy.set()
            is_over.wait(60)
            return name
        is_busy.wait(60)
        raise ValueError(name)

    with pytest.raises(ValueError, match="b"):
        [*run(["a", "b", "c"], work, jobs=2, leave=has_left.set)]

    is_over.set()
    assert has_left.wait(60)
    assert begun == ["a", "b"]


def test_a_circle_is_refused() -> None:
    with pytest.raises(CycleError):
        [*run(["a", "b"], str, after={"a": ["b"], "b": ["a"]})]


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_is_begun_after_a_stop(jobs: int) -> None:
    stop = threading.Event()
    begun: list[str] = []
    both = threading.Barrier(jobs, timeout=60)

    def work(name: str) -> str:
        begun.append(name)
        both.wait()
        stop.set()
        return name

    results = [*run(list("abcde"), work, jobs=jobs, stop=stop)]

    assert sorted(results) == sorted(begun) == list("abcde")[:jobs]


def test_stopped_before_the_beginning() -> None:
    stop = threading.Event()
    stop.set()

    work: Callable[[str], str] = str
    assert [*run(["a"], work, stop=stop)] == []
