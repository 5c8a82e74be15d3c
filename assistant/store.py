"""One SQLite file, one connection, one thread that owns it, append-only migrations.

Whoever writes holds the lock file beside it: the daemon as long as it runs, a command while it
works alone. `synchronous=FULL`: what was acknowledged is on the disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from assistant.errors import (
    DiskFull,
    NotPermitted,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    of_os,
)

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE turns (
        id TEXT PRIMARY KEY, origin TEXT NOT NULL, at REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('started', 'ended', 'failed', 'lost')),
        text TEXT, reply TEXT, tier TEXT, tool TEXT, confidence REAL,
        seconds REAL, overhead REAL, code TEXT, stages TEXT
    );
    CREATE INDEX turns_at ON turns (at);
    CREATE TABLE timers (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, seconds REAL NOT NULL, turn TEXT NOT NULL,
        due_wall REAL NOT NULL, due_boot REAL NOT NULL, boot_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('set', 'fired', 'cancelled'))
    );
    CREATE INDEX timers_due ON timers (due_wall) WHERE state = 'set';
    """,
)
"""Only ever appended to. The file's user_version counts those that ran."""


class Store:
    """The file. `do` runs a function of the connection as one transaction, in the one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Raises NotPermitted, DiskFull, StoreDamaged or StoreTooNew."""
        await self._run(self._open)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, once it is on the disk. Where it raises, nothing was changed."""
        return await self._run(lambda: self._transaction(work))

    async def close(self) -> None:
        if self._connection:
            await self._run(self._connection.close)
            self._connection = None
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise of_sqlite(error, self.path) from error
        except OSError as error:
            raise of_os(error, self.path) from error

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # private before it has words
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (done,) = connection.execute("PRAGMA user_version").fetchone()
        if done > len(MIGRATIONS):
            raise StoreTooNew(
                f"{self.path} was written by a newer version of the assistant.",
                "Update the assistant, or set another folders.state.",
            )
        for number, script in enumerate(MIGRATIONS[done:], done + 1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreBusy("The journal is closed.")
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result


def of_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """What an error of the database means to a person."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskFull(
            f"{path} could not be written: the disk is full or failing.",
            "Free some space and try again.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return NotPermitted(f"I may not write {path}.", "Give yourself write permission there.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{path} is in use by another program.", "Close that program.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(
            f"The journal {path} is damaged.",
            "Nothing in it was changed. Move it away to start a new one.",
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreDamaged(f"The journal {path} could not be used: {name}.", "Nothing was changed.")


class Lock:
    """Held by the one process that may write. Says who holds it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._file: int | None = None

    def take(self, role: str) -> None:
        """Raises StoreBusy, naming the holder, if it is not free: who wants to wait asks again."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise of_os(error, self.path) from error
        if not self._taken():
            holder = self.holder()
            self.free()
            raise StoreBusy(
                f"Another assistant is at work here: {holder}.", "Let it finish, or stop it."
            )
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{role}, process {os.getpid()}".encode(), 0)
        except OSError as error:
            self.free()
            raise of_os(error, self.path) from error

    def holder(self) -> str:
        try:
            return self.path.read_text() or "an unnamed one"
        except OSError:
            return "an unnamed one"

    def free(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _taken(self) -> bool:
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
