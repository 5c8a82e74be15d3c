"""Timers: start, list, cancel."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from assistant import spoken
from assistant.policy import Sink
from assistant.schedule import Timer
from assistant.tools import Hands, Receipt, tool

LONGEST = 30 * 86400
"""Seconds. A timer beyond a month is surely misheard."""
ASK = "For how long? Say for example: set a timer for five minutes."


@tool(effect=Sink.TIMER)
async def set_timer(
    hands: Hands,
    duration: Annotated[
        str, Field(description="how long, in the words that were said, such as 'five minutes'")
    ],
    name: Annotated[str, Field(description="what the timer is called")] = "",
) -> Receipt:
    """Start a timer."""
    seconds = spoken.seconds_of(duration)
    if seconds is None:
        return Receipt(ASK)
    if not 1 <= seconds <= LONGEST:
        return Receipt("A timer can run from one second to thirty days.")
    timer = await hands.timers.set(seconds, name.strip(), hands.turn.id)
    what = f"The {timer.name} timer" if timer.name else "A timer"
    caution = "" if hands.rings else " It rings only once the assistant runs: start scripts/run."
    return Receipt(
        f"{what} is set for {spoken.duration(timer.seconds)}.{caution}",
        facts={"seconds": timer.seconds},
    )


@tool()
async def list_timers(hands: Hands) -> Receipt:
    """Say which timers run and how long each has left."""
    timers = await hands.timers.running()
    if not timers:
        return Receipt("No timer is running.", facts={"timers": 0})
    left = [
        f"{_title(timer)} has {spoken.duration(max(1, hands.timers.left(timer)))} left."
        for timer in timers
    ]
    return Receipt(" ".join(left), facts={"timers": len(timers)})


@tool(effect=Sink.EDIT)
async def cancel_timer(
    hands: Hands,
    name: Annotated[str, Field(description="what the timer is called")] = "",
) -> Receipt:
    """Cancel a timer."""
    timers = [each for each in await hands.timers.running() if name.lower() in each.name.lower()]
    if not timers:
        return Receipt(f"No {name} timer is running." if name else "No timer is running.")
    if len(timers) > 1:
        return Receipt(f"Which one? {' '.join(_title(each) + '.' for each in timers)}")
    cancelled = await hands.timers.cancel(timers[0].id)
    return Receipt(f"{_title(cancelled)} is cancelled." if cancelled else "It has just ended.")


def _title(timer: Timer) -> str:
    return f"The {timer.name} timer" if timer.name else f"The {adjective(timer.seconds)} timer"


def adjective(seconds: float) -> str:
    """A duration before a noun: "5 minute"."""
    return spoken.duration(seconds).replace("s and ", " and ").removesuffix("s")
