"""Durations as people say them, both ways."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.spoken import duration, seconds_of

SAID = {
    "one second": 1, "a second": 1, "1 second": 1, "ten seconds": 10, "ninety seconds": 90,
    "30 secs": 30, "45 sec": 45, "thirty-five seconds": 35, "a hundred seconds": 100,
    "one hundred and twenty seconds": 120, "two hundred seconds": 200, "zero seconds": 0,
    "a minute": 60, "one minute": 60, "1 min": 60, "5min": 300, "two minutes": 120,
    "five minutes": 300, "five minute": 300, "5-minute": 300, "twelve minutes": 720,
    "fifteen minutes": 900, "twenty-five minutes": 1500, "twenty five minutes": 1500,
    "forty minutes": 2400, "ninety minutes": 5400, "1.5 minutes": 90, "2.5 mins": 150,
    "a couple of minutes": 120, "couple of minutes": 120, "a few minutes": 180,
    "a minute and a half": 90, "one minute and a half": 90, "two and a half minutes": 150,
    "two minutes and a half": 150, "one and a quarter minutes": 75,
    "half a minute": 30, "half an hour": 1800, "half hour": 1800, "a half hour": 1800,
    "half of an hour": 1800, "a quarter of an hour": 900, "quarter of an hour": 900,
    "three quarters of an hour": 2700, "an hour": 3600, "one hour": 3600, "1 hr": 3600,
    "an hour and a half": 5400, "an hour and a quarter": 4500, "one and a half hours": 5400,
    "2 hours": 7200, "two hours and ten minutes": 7800, "1 hour and 20 mins": 4800,
    "1 hour 20 minutes": 4800, "one hour, twenty minutes": 4800, "an hour and five seconds": 3605,
    "two hours, three minutes and four seconds": 7384, "a day": 86400, "two days": 172800,
    "1 day, 2 hours and 3 minutes": 93780, "Five Minutes": 300, "  five   minutes ": 300,
    "half an hour and ten minutes": 2400, "eighteen minutes and nineteen seconds": 1099,
}  # fmt: skip
NOT_SAID = [
    *("", "five", "minutes", "a", "an", "and a half", "half", "soon", "five minutes later"),
    *("for five minutes", "-5 minutes", "five minutes and", "and five minutes", "1e3 minutes"),
    *("five minutes ten minutes", "five seconds and two minutes", "twenty twenty minutes"),
    *("one two three minutes", "an an hour", "minute five", "five minutess", "5 6 minutes"),
    *("five years", "½ hour", "five\x00minutes", "🕔", "1.2.3 minutes", ". minutes"),
]


@pytest.mark.parametrize("text", SAID)
def test_it_is_understood(text: str) -> None:
    assert seconds_of(text) == SAID[text]


def test_the_table_is_long_enough() -> None:
    assert len(SAID) >= 60


@pytest.mark.parametrize("text", NOT_SAID)
def test_it_is_no_duration(text: str) -> None:
    assert seconds_of(text) is None


@given(st.integers(0, 100 * 86400))
def test_there_and_back(seconds: int) -> None:
    assert seconds_of(duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (0.4, "0 seconds"),
        (1, "1 second"),
        (59.6, "1 minute"),
        (90, "1 minute and 30 seconds"),
        (3661, "1 hour, 1 minute and 1 second"),
        (86400, "1 day"),
    ],
)
def test_it_is_said(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@given(st.text())
@example("a")
def test_nonsense_never_raises(text: str) -> None:
    found = seconds_of(text)
    assert found is None or found >= 0


LONG = [
    *("a ", "a minute and a ", "a and ", "5 minutes and ", "one hundred ", "half of a ", "twenty-"),
    *("1", "1 ", "-", " ", "an hour, ", "minute ", "a couple of "),
]


@pytest.mark.parametrize("part", LONG)
def test_ten_thousand_characters_take_no_time(part: str) -> None:
    text = (part * 10_000)[:10_000] + " x"
    start = time.process_time()
    assert seconds_of(text) is None
    assert time.process_time() - start < 2.0  # it takes milliseconds; the fault took for ever
