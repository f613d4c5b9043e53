"""Numbers on the command lines of scripts: what is too small is refused, whichever option it belongs to."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace

import pytest

from scripts import at_least_zero, check_least, count, positive, share
from utils.errors import UserError


@pytest.mark.parametrize("given", [{"runs": 0}, {"runs": 1, "more_steps": [3, -1]}])
def test_a_small_number_is_named_with_all_limits(given):
    with pytest.raises(UserError) as found:
        check_least(Namespace(**{"runs": 1, "more_steps": None, **given}), runs=1, more_steps=0)
    assert found.value.expected == "--runs from 1, --more-steps from 0"
    assert str(list(given.values())[-1]) in found.value.got


@pytest.mark.parametrize("more_steps", [None, 0, [], [0, 7]])
def test_numbers_within_the_limits_and_options_without_one_pass(more_steps):
    check_least(Namespace(runs=1, more_steps=more_steps), runs=1, more_steps=0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (positive, "0"),
        (positive, "inf"),
        (positive, "two"),
        (at_least_zero, "-1"),
        (at_least_zero, "nan"),
        (count, "0"),
        (count, "1.5"),
        (count, "all"),
        (share, "1.5"),
        (share, "-0.1"),
    ],
)
def test_kinds_of_numbers(kind, text):
    with pytest.raises(ArgumentTypeError, match=f"must .*{text}"):
        kind(text)
    assert kind("1") == 1
