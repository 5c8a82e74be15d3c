"""Engines that misbehave in a process of their own: tests/test_child.py runs them in a Child."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from assistant.errors import ModelDamaged
from assistant.turn import Sound


class Engine:
    name = "engine for tests"

    def __init__(self, closed: str = "") -> None:
        self._closed = closed

    def pid(self) -> int:
        return os.getpid()

    def double(self, sound: Sound) -> Sound:
        return Sound(sound.samples * 2, sound.rate)

    def count(self, last: int, pause: float = 0.0) -> Iterator[int]:
        """Writes a file when it is closed."""
        try:
            for number in range(last):
                time.sleep(pause)
                yield number
        finally:
            if self._closed:
                Path(self._closed).write_text("closed")

    def die_at(self, number: int) -> Iterator[int]:
        yield from range(number)
        os.kill(os.getpid(), signal.SIGKILL)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def fail(self) -> None:
        raise ValueError("words that were said")

    def damaged(self) -> None:
        raise ModelDamaged("The file is damaged.", "Fetch it again.")

    def attack(self, answer: bytes) -> None:
        """Answers with these bytes in place of its own, as a child that was taken over could."""
        Connection(int(sys.argv[1])).send_bytes(answer)
        time.sleep(60)


class Hostile:
    """Runs a shell command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call

    def pickled(self) -> bytes:
        return pickle.dumps((None, self, 0.0))


class Absent:
    def __init__(self) -> None:
        import a_library_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401


ONE = Sound(np.ones(16_000, np.float32))
