"""The thread that writes finished sequences: order, bound, errors."""

from __future__ import annotations

import threading

import pytest

from modules.labelling.saving import Saver


def test_jobs_are_done_in_order_and_few_of_them_wait() -> None:
    done: list[int] = []
    go = threading.Event()

    def first() -> None:
        go.wait(10)
        done.append(0)

    with Saver(most=2) as saver:
        saver.later(first)
        saver.later(lambda: done.append(1))
        assert done == [], "nobody waits yet"
        threading.Timer(0.02, go.set).start()
        saver.later(lambda: done.append(2))
        assert done[:1] == [0]
    assert done == [0, 1, 2]


def test_an_error_is_raised_and_the_jobs_after_it_are_done() -> None:
    done: list[int] = []
    go = threading.Event()

    def fails() -> None:
        go.wait(10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Saver() as saver:
        saver.later(fails)
        saver.later(lambda: done.append(1))
        go.set()
    assert done == [1]
    with pytest.raises(ZeroDivisionError), Saver(most=0) as saver:
        saver.later(fails)
        raise AssertionError("with so little room the call itself raises")


def test_what_waits_is_done_when_the_work_is_broken_off() -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt), Saver() as saver:
        saver.later(lambda: done.append(1))
        raise KeyboardInterrupt
    assert done == [1]
