"""The first tier: what it takes for a request, and what it leaves alone."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.reflex import understand
from assistant.tools import known

REQUESTS = {
    "tell_time": """
        what time is it / What time is it? / what's the time / what is the time now / the time
        time / tell me the time / do you know the time / tell me what time it is / how late is it
        what time is it now please / hey, what's the time? / can you tell me the time
        okay assistant what time is it / do you know what time it is
        What\u2019s the time, please?
    """,
    "tell_date": """
        what day is it / what's the date / what is the date today / tell me the date
        what date is it today / what day of the week is it / what is today's date
        what day is today / tell me what day it is / the date / what's the day today
        the date please / could you tell me the date / What is the date? / tell me what day is it
        what date is today
    """,
    "set_timer": """
        set a timer for five minutes / Set a timer for 5 minutes. / start a timer for an hour
        timer for ten seconds / set timer for half an hour / please set a timer for two minutes
        set the timer for five minutes / set my timer for 5 minutes / set a 5-minute timer
        set a five minute timer / ten minute timer / start an hour and a half timer
        set a pasta timer for nine minutes / set a timer for one minute called tea
        five minute timer called eggs / give me a timer of 90 seconds
        start a new timer for an hour / can you set a timer for 1 hour and 20 minutes
        put on a timer for three quarters of an hour / set another timer for twenty-five minutes
        make a timer for 2.5 minutes / set one hour timer
    """,
    "list_timers": """
        what timers are running / which timers do I have / list my timers / show the timers
        check my timer / check timers / how long is left on the timer / how much time is left
        how long do I have left / list timers / show me all my timers / what timers do i have set
        how much time do I have left on my timer / how long does the timer have
        which timers are on / how long left on my timers
    """,
    "cancel_timer": """
        cancel the timer / stop my timer / delete the timer / end the timer / turn off the timer
        cancel timer / cancel the pasta timer / stop the tea timer please / clear the timer
        cancel my egg timer / please cancel the timer / can you stop the timer / cancel a timer
        stop this timer / end that timer / turn off my timer
    """,
    "read_text": """
        what does this say / what does this sign say / What does that sign say? / what does it say
        what does the label say / tell me what this says / read this / read it to me
        read it aloud / read the sign / read that label to me / read this out loud
        what is written here / what is written on this page / what's written on the door
        read the menu for me / could you read this please / what is written there
        tell me what does this say
    """,
    "what_can_you_do": """
        help / help me / what can you do / what can you do for me / what can I ask
        what can I say / what can I ask you / please help / help please / okay help me
        hey what can you do / What can you do? / assistant help / help me please
        what can I say please / Help!
    """,
}
NOT_REQUESTS = """
    don't set a timer / do not set a timer for five minutes / never set a timer
    the history of timers / is the timer on / what is the time signature of this song
    set a timer / set the table for five / what time does the train leave
    what time is it in tokyo / time flies / once upon a time / it is time to go
    the time has come / time is money / what a time it was / do you have time for me tomorrow
    she told me the time and left / what day did it happen / the date tastes sweet
    a date with destiny / save the date for june / what day comes after monday / date of birth
    i set a timer for five minutes ago / he said set a timer for five minutes
    set a timer for five / set a timer for minutes / set a timer for five bananas
    a timer for five minutes is too short / why set a timer for ten minutes / timer
    set an alarm for five minutes / remind me in five minutes / how do timers work
    kitchen timers / who invented the timer / my timer broke / buy a timer / timers are useful
    cancel my flight / stop / stop talking / cancel the meeting / cancel all subscriptions
    delete the photo / turn off the light / stop the music / end of story / cancel culture
    don't cancel the timer / should i cancel the timer / cancel every timer / what does this mean
    what does the fox say / what does he say about it / say this / read between the lines
    i read this yesterday / have you read the book / read my mind
    what is written in the stars and why / well read / this sign says nothing / say what you mean
    help is on the way / i can't help it / can you help my brother / how can i help you
    what can you do about the weather / what can it be / what do you think / tell me a joke
    hello / good morning / thank you / yes / no / never mind / who are you / why / what
    how long is the great wall / how much time did it take / how long until christmas
    show me the way / list the planets / check the oven / which timers are the best to buy
"""


def phrases(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [phrase for line in lines if line for phrase in line.split(" / ")]


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_understood(name: str) -> None:
    said = phrases(REQUESTS[name])
    assert len(said) >= 15
    found = {text: call.name if (call := understand(text)) else None for text in said}
    assert {text: tool for text, tool in found.items() if tool != name} == {}


def test_what_is_no_request_is_left_alone() -> None:
    said = phrases(NOT_REQUESTS)
    assert len(said) >= 60
    assert {text: call for text in said if (call := understand(text))} == {}


def test_every_tool_has_requests() -> None:
    assert set(REQUESTS) == set(known())


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("Set a timer for five minutes, please.", {"duration": "five minutes"}),
        ("set the timer for 90 seconds", {"duration": "90 seconds"}),
        ("set a pasta timer for nine minutes", {"name": "pasta", "duration": "nine minutes"}),
        (
            "an hour and a half timer called bread",
            {"name": "bread", "duration": "an hour and a half"},
        ),
        ("timer for ten minutes named soft eggs", {"name": "soft eggs", "duration": "ten minutes"}),
        ("cancel the pasta timer", {"name": "pasta"}),
        ("cancel that timer", {}),
    ],
)
def test_arguments_are_what_was_said(said: str, arguments: dict[str, str]) -> None:
    call = understand(said)
    assert call
    assert call.arguments == arguments


WORDS = sorted({word for text in REQUESTS.values() for word in re.findall(r"[\w'-]+", text)})


@given(
    st.one_of(st.text(max_size=300), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
)
def test_it_never_raises_and_makes_nothing_up(text: str) -> None:
    call = understand(text)
    if call:
        assert call.name in known()
        words = set(re.findall(r"[a-z0-9.]+", text.lower()))
        spans = " ".join(call.arguments.values())
        assert set(re.findall(r"[a-z0-9.]+", spans)) <= words


@pytest.mark.parametrize("part", ["timer ", "a minute and a ", "set ", "the ", "five ", "read "])
def test_the_longest_request_takes_no_time(part: str) -> None:
    start = time.process_time()
    understand("set a timer for " + (part * 200)[:180])
    understand((part * 10_000)[:10_000])
    assert time.process_time() - start < 2.0  # it takes milliseconds
