"""What the suites of the ports share: coroutines driven by hand, lanes, speech and silence.

Each suite runs on every fake and on every real engine that is there, through the same lanes and
adapters as in the product. Wrap an engine with Here to run it in a thread, with Child in a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from assistant.flow import Lane, Worker
from assistant.turn import RATE, Sound
from models.espeak import Espeak

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
MakeLane = Callable[[Worker], Lane]

STANDINS = Path(__file__).parents[1] / "standins"


def present(path: Path) -> Path:
    """The stand-in at `path`; the test is skipped where it was not made."""
    if not path.exists():
        pytest.skip(f"{path.name} is not there: scripts/standins makes it")
    return path


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    """Runs a coroutine to its end; all of one test share one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def lane(run: Run[None]) -> Iterator[MakeLane]:
    """Makes lanes that are closed when the test ends."""
    lanes: list[Lane] = []

    def make(worker: Worker) -> Lane:
        lanes.append(Lane(worker))
        return lanes[-1]

    yield make
    for one in lanes:
        run(one.close())


async def gathered(items: AsyncGenerator[T]) -> list[T]:
    """All items of a stream, closed as everywhere."""
    async with aclosing(items):
        return [item async for item in items]


@pytest.fixture(scope="session")
def speech() -> Sound:
    """About two seconds of the built-in voice, at 16 kHz."""
    spoken = list(Espeak().speak("What does this sign say?"))
    samples, rate = np.concatenate([sound.samples for sound in spoken]), spoken[0].rate
    times = np.arange(int(len(samples) * RATE / rate)) * rate / RATE
    return Sound(np.interp(times, np.arange(len(samples)), samples).astype(np.float32))


@pytest.fixture(scope="session")
def silence() -> Sound:
    """A second of nothing."""
    return Sound(np.zeros(RATE, np.float32))
