"""Durable timers: rows that outlive the process, claimed once when they are due."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass

from assistant import spoken
from assistant.clock import Clock
from assistant.store import Store


@dataclass(frozen=True, slots=True)
class Timer:
    """A row. It is due at `due_boot` on the clock of the start it was set in, and at `due_wall`
    (seconds since 1970) when the machine was started anew since."""

    id: int
    name: str
    seconds: float
    due_wall: float
    due_boot: float
    boot_id: str


_FIELDS = "id, name, seconds, due_wall, due_boot, boot_id"


class Timers:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.changed = asyncio.Event()
        """Set when a timer was set or cancelled: whoever waits for the next one looks again."""

    async def set(self, seconds: float, name: str, turn: str) -> Timer:
        """A new timer, read back from the disk."""
        wall, boot = self._clock.now().timestamp(), self._clock.boot()
        row = (name, seconds, turn, wall + seconds, boot + seconds, self._clock.boot_id())

        def insert(db: sqlite3.Connection) -> Timer:
            done = db.execute(
                "INSERT INTO timers (name, seconds, turn, due_wall, due_boot, boot_id, state)"
                f" VALUES (?, ?, ?, ?, ?, ?, 'set') RETURNING {_FIELDS}",
                row,
            )
            return Timer(*done.fetchone())

        timer = await self._store.do(insert)
        self.changed.set()
        return timer

    async def running(self) -> list[Timer]:
        """Those not yet due or rung, the soonest first."""
        query = f"SELECT {_FIELDS} FROM timers WHERE state = 'set'"
        rows = await self._store.do(lambda db: db.execute(query).fetchall())
        return sorted((Timer(*row) for row in rows), key=self.left)

    async def cancel(self, number: int) -> Timer | None:
        """The timer that was cancelled; None if it rang meanwhile. The row is kept."""
        cancelled = await self._claim(number, "cancelled")
        self.changed.set()
        return cancelled

    def left(self, timer: Timer) -> float:
        """Seconds until it is due; negative: since when."""
        if timer.boot_id == self._clock.boot_id():
            return timer.due_boot - self._clock.boot()
        return timer.due_wall - self._clock.now().timestamp()

    async def take(self, number: int) -> Timer | None:
        """Marks it as fired, once; None if it has rung already or was cancelled."""
        return await self._claim(number, "fired")

    async def _claim(self, number: int, state: str) -> Timer | None:
        def update(db: sqlite3.Connection) -> Timer | None:
            row = db.execute(
                f"UPDATE timers SET state = ? WHERE id = ? AND state = 'set' RETURNING {_FIELDS}",
                (state, number),
            ).fetchone()
            return Timer(*row) if row else None

        return await self._store.do(update)


LATE = 5.0
"""Seconds. A timer that rings later than this says by how much."""


def announcement(timer: Timer, late: float) -> str:
    """What is said when a timer is due."""
    title = f"Your {timer.name} timer" if timer.name else "Your timer"
    said = f"{title} of {spoken.duration(timer.seconds)} is done."
    return said if late < LATE else f"{said} It was due {spoken.duration(late)} ago."
