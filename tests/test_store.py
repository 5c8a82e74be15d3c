"""The store on a real disk: what was acknowledged stays, what is wrong is said, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.clock import SystemClock
from assistant.errors import DiskFull, NotPermitted, StoreBusy, StoreDamaged, StoreTooNew
from assistant.events import Asked, Ended, Failed, Said, Started
from assistant.journal import Journal, latest, line
from assistant.schedule import Timers
from assistant.store import MIGRATIONS, Lock, Store

ACKNOWLEDGE = """
import asyncio, sys
from pathlib import Path
from assistant.clock import SystemClock
from assistant.schedule import Timers
from assistant.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.open()
    timers = Timers(store, SystemClock())
    for number in range(int(sys.argv[2])):
        timer = await timers.set(3600.0, sys.argv[3] + str(number), "turn")
        print(timer.name, flush=True)
    await store.close()

asyncio.run(main())
"""
"""Sets timers, and says the name of each once it is on the disk."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "assistant.db"


def opened(path: Path, work: Any = None) -> Any:
    """Opens the store, does the work in one transaction, and closes it."""

    async def story() -> Any:
        store = Store(path)
        try:
            await store.open()
            return await store.do(work) if work else None
        finally:
            await store.close()

    return asyncio.run(story())


def acknowledging(path: Path, count: int = 10**6, prefix: str = "") -> list[str]:
    return [sys.executable, "-c", ACKNOWLEDGE, str(path), str(count), prefix]


def test_it_is_private_and_waits_for_the_disk(path: Path) -> None:
    def look(db: sqlite3.Connection) -> list[Any]:
        db.execute("INSERT INTO turns (id, origin, at, state) VALUES ('a', 'typed', 0, 'ended')")
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        pragmas = ("journal_mode", "synchronous", "secure_delete", "user_version")
        return [modes, *(db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)]

    modes, *pragmas = opened(path, look)
    assert pragmas == ["wal", 2, 1, len(MIGRATIONS)]  # 2 is FULL
    assert modes
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_transaction_that_fails_changes_nothing(path: Path) -> None:
    insert = "INSERT INTO turns (id, origin, at, state) VALUES (?, 'typed', 0, 'ended')"

    async def story() -> None:
        store = Store(path)
        await store.open()

        def fail(db: sqlite3.Connection) -> None:
            db.execute(insert, ("lost",))
            raise KeyError("no")

        with pytest.raises(KeyError):
            await store.do(fail)
        await store.do(lambda db: db.execute(insert, ("kept",)))
        rows = await store.do(lambda db: db.execute("SELECT id FROM turns").fetchall())
        assert [row["id"] for row in rows] == ["kept"]
        await store.close()

    asyncio.run(story())


def test_a_newer_file_is_left_alone(path: Path) -> None:
    opened(path, lambda db: db.execute("PRAGMA user_version = 99"))
    with pytest.raises(StoreTooNew, match="newer version"):
        opened(path)


def test_a_file_that_is_no_database_is_damaged_and_untouched(path: Path) -> None:
    path.parent.mkdir()
    content = b"This is no database. " * 500
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="damaged"):
        opened(path)
    assert path.read_bytes() == content


def test_a_page_that_was_overwritten_is_damage_too(path: Path) -> None:
    opened(path)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        opened(path, lambda db: db.execute("SELECT * FROM turns ORDER BY at").fetchall())


def test_an_unfinished_migration_never_happened(path: Path, monkeypatch: Any) -> None:
    broken = (*MIGRATIONS, "CREATE TABLE notes (text); CREATE TABLE notes (twice);")
    monkeypatch.setattr("assistant.store.MIGRATIONS", broken)
    with pytest.raises(StoreDamaged):
        opened(path)
    monkeypatch.setattr("assistant.store.MIGRATIONS", MIGRATIONS)
    tables = "SELECT name FROM sqlite_master WHERE name = 'notes'"
    assert opened(path, lambda db: db.execute(tables).fetchall()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPermitted, match="cannot write"):
        opened(tmp_path / "file" / "assistant.db")
    with pytest.raises(NotPermitted):
        Lock(tmp_path / "file").take("test")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(path: Path) -> None:
    path.parent.mkdir(mode=0o500)
    with pytest.raises(NotPermitted, match="may not write"):
        opened(path)


def test_a_full_disk_is_said_and_costs_nothing_that_was_acknowledged(path: Path) -> None:
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))\n"
        "from assistant.errors import AssistantError\n"
        f"try:\n    exec({ACKNOWLEDGE!r})\n"
        "except AssistantError as error:\n    print(error.code, flush=True)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(path), "100000", "n"], capture_output=True, text=True
    ).stdout.split()
    assert told[-1] == DiskFull.code
    assert len(told) > 2
    assert names(path) == told[:-1]


def names(path: Path) -> list[str]:
    return [
        row["name"]
        for row in opened(path, lambda db: db.execute("SELECT name FROM timers").fetchall())
    ]


def test_twenty_kills_lose_and_double_nothing(path: Path) -> None:
    acknowledged: list[str] = []
    for kill in range(20):
        with subprocess.Popen(
            acknowledging(path, prefix=f"{kill}-"), stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout
            acknowledged.append(child.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.03))
            child.kill()
            acknowledged += child.stdout.read().split()
    kept = names(path)
    assert len(set(kept)) == len(kept)
    lost = [name for name in acknowledged if name and name not in kept]
    # The last line of a killed child may be cut off, and one more may be kept than was said.
    assert lost == []
    assert len(kept) - len(acknowledged) <= 20
    assert len(acknowledged) >= 20


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_disk_has_it_before_it_is_acknowledged(path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,write,pwrite64"
    subprocess.run(
        ["strace", "-f", "-y", "-o", trace, "-e", calls, *acknowledging(path, 5, "timer-")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    unsynced, said = False, 0
    for entry in trace.read_text().splitlines():
        if "pwrite64(" in entry and "assistant.db-wal" in entry:
            unsynced = True
        elif "sync(" in entry and "assistant.db-wal" in entry:
            unsynced = False
        elif "write(1<" in entry and '"timer-' in entry:
            assert not unsynced, entry
            said += 1
    assert said == 5


# ---- the lock ------------------------------------------------------------------------------------


def test_the_lock_is_for_one_and_names_its_holder(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take("the daemon")
    with pytest.raises(StoreBusy, match=f"the daemon, process {os.getpid()}"):
        second.take("a command")
    first.free()
    second.take("a command")
    assert second.holder() == f"a command, process {os.getpid()}"
    assert second.path.stat().st_mode & 0o777 == 0o600
    second.free()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = (
        "import sys, time; from pathlib import Path; from assistant.store import Lock;"
        "Lock(Path(sys.argv[1])).take('a command'); print('taken', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_the_lock_of_a_killed_holder_is_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(StoreBusy, match=f"a command, process {holder.pid}"):
        lock.take("the daemon")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock.take("the daemon")
    lock.free()


# ---- the journal ---------------------------------------------------------------------------------


def journaled(path: Path, work: Any, days: int = 30) -> None:
    async def story() -> None:
        store = Store(path)
        await store.open()
        journal = Journal(store, days)
        await journal.begin()
        for event in work:
            await journal.read(event)
        await store.close()

    asyncio.run(story())


def turn(name: str, at: float, text: str = "what time is it") -> list[Any]:
    return [
        Started(name, "spoken", at),
        Asked(name, text, 0.9, "ears"),
        Said(name, "It is "),
        Said(name, "nine."),
        Ended(name, 1.0, 0.5, 0.01, 0.8),
    ]


def test_the_journal_tells_what_was_asked_and_answered(path: Path) -> None:
    now = time.time()
    failed = [Started("b", "typed", now), Failed("b", "no-speech", "I heard no speech.", "", 0.1)]
    journaled(path, [*turn("a", now - 1), *failed])
    first, second = latest(path, 10)
    assert (first["state"], first["text"], first["reply"]) == (
        *("ended", "what time is it", "It is nine."),
    )
    assert (second["state"], second["code"]) == ("failed", "no-speech")
    assert [row["id"] for row in latest(path, 1)] == ["b"]
    assert "what time is it  ->  It is nine." in line(first)
    assert latest(path.parent / "none.db", 5) == []


def test_a_turn_that_was_cut_off_is_marked_lost_at_the_next_start(path: Path) -> None:
    journaled(path, turn("a", time.time())[:3])
    assert [row["state"] for row in latest(path, 5)] == ["started"]
    journaled(path, [])
    assert [row["state"] for row in latest(path, 5)] == ["lost"]


def test_old_words_are_gone_from_every_file(path: Path) -> None:
    now = time.time()
    journaled(path, turn("old", now - 31 * 86400, "xylophone") + turn("new", now, "zeppelin"))
    assert b"xylophone" in b"".join(each.read_bytes() for each in path.parent.iterdir())
    journaled(path, [])
    content = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"xylophone" not in content
    assert b"zeppelin" in content


ODD = "grüße \N{ALARM CLOCK} 'quoted\"; DROP TABLE turns; \x00 \x1b[2J"


def test_text_of_any_kind_can_be_kept(path: Path) -> None:
    journaled(path, turn("a", time.time(), ODD))
    assert latest(path, 1)[0]["text"] == ODD


def test_timers_outlive_the_process(path: Path) -> None:
    subprocess.run(acknowledging(path, 3, "tea"), check=True, capture_output=True)

    async def story() -> None:
        store = Store(path)
        await store.open()
        timers = Timers(store, SystemClock())
        assert [timer.name for timer in await timers.running()] == ["tea0", "tea1", "tea2"]
        assert all(3500 < timers.left(timer) <= 3600 for timer in await timers.running())
        await store.close()

    run: Coroutine[Any, Any, None] = story()
    asyncio.run(run)
