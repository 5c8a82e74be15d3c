"""The turn journal: what was asked and answered, in the store. A reader of the bus.

A turn is written when it starts and again when it is over; one found only started at the next
opening was cut off by a crash and is marked lost. Words are kept for `days`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from assistant.account import Account
from assistant.events import Event, Started
from assistant.store import Store, of_sqlite


class Journal:
    def __init__(self, store: Store, days: int) -> None:
        self._store, self._days = store, days
        self._open: dict[str, Account] = {}

    async def begin(self) -> None:
        """Marks what a crash cut off, and forgets what is older than `days`."""
        oldest = time.time() - self._days * 86400

        def tidy(db: sqlite3.Connection) -> None:
            db.execute("UPDATE turns SET state = 'lost' WHERE state = 'started'")
            db.execute("DELETE FROM turns WHERE at < ?", (oldest,))

        await self._store.do(tidy)

    async def read(self, event: Event) -> None:
        """Takes one event of the bus."""
        if isinstance(event, Started):
            self._open[event.turn] = Account(event.turn)
            await self._insert(event)
        account = self._open.get(event.turn)
        if account is None:
            return
        account.take(event)
        if account.over:
            del self._open[event.turn]
            await self._update(account)

    async def _insert(self, event: Started) -> None:
        row = (event.turn, event.origin, event.at)
        await self._store.do(
            lambda db: db.execute(
                "INSERT INTO turns (id, origin, at, state) VALUES (?, ?, ?, 'started')", row
            )
        )

    async def _update(self, account: Account) -> None:
        known = account.to_dict()
        row = {
            "id": account.turn,
            "state": "failed" if account.failed else "ended",
            "text": known["transcript"],
            "reply": known["reply"],
            "tier": known["tier"],
            "tool": known["tool"],
            "confidence": known["confidence"],
            "seconds": account.ended.seconds if account.ended else None,
            "overhead": account.ended.overhead if account.ended else None,
            "code": account.failed.code if account.failed else None,
            "stages": json.dumps(known["stages"]),
        }
        await self._store.do(
            lambda db: db.execute(
                "UPDATE turns SET state = :state, text = :text, reply = :reply, tier = :tier,"
                " tool = :tool, confidence = :confidence, seconds = :seconds,"
                " overhead = :overhead, code = :code, stages = :stages WHERE id = :id",
                row,
            )
        )


def latest(path: Path, count: int) -> list[dict[str, Any]]:
    """The newest turns of the journal at `path`, the oldest of them first. Only reads."""
    if not path.exists():
        return []
    query = "SELECT * FROM turns ORDER BY at DESC, rowid DESC LIMIT ?"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            rows = [dict(row) for row in db.execute(query, (count,))]
    except sqlite3.Error as error:
        raise of_sqlite(error, path) from error
    for row in rows:
        row["stages"] = json.loads(row["stages"] or "[]")
    return rows[::-1]


def line(row: dict[str, Any]) -> str:
    """A turn of the journal in one line for a person."""
    at = datetime.fromtimestamp(row["at"]).strftime("%Y-%m-%d %H:%M:%S")
    how = row["code"] or row["tool"] or row["tier"] or row["state"]
    return f"{at}  {row['state']:<7} {how:<16} {row['text'] or '-'}  ->  {row['reply'] or '-'}"
