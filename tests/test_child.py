"""Engines in processes of their own, with every way in which such a process can go wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from assistant import errors
from assistant.child import Child, _unpickled
from assistant.errors import EngineDied, EngineFailed, EngineHung, EngineMissing, ModelDamaged
from assistant.flow import Lane
from assistant.ports import Line, Transcript
from tests.engines_for_tests import ONE, Hostile

ENGINE = "tests.engines_for_tests:Engine"


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(ENGINE, {"closed": str(tmp_path / "closed")}, deadline=20.0)
    child.load()
    yield child
    child.close()


def soon(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true before long: the kernel and other processes need their moment."""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return true()


def alive(pid: int) -> bool:
    """A zombie is not alive; one without a parent to take its status is left by the container.
    One whose other threads still end is: its parent cannot take its status yet."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return threads > 1 or "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_call_crosses_to_another_process_and_back(child: Child) -> None:
    assert child.call("pid") == child.pid != os.getpid()
    doubled = child.call("double", ONE)
    assert np.array_equal(doubled.samples, ONE.samples * 2)
    assert doubled.samples.dtype == np.float32
    assert child.seconds > 0


def test_a_stream_gives_its_items_one_by_one(child: Child) -> None:
    assert list(child.stream("count", 5)) == [0, 1, 2, 3, 4]
    assert list(child.stream("count", 0)) == []


def test_a_stream_that_is_closed_early_is_closed_in_the_child_too(
    child: Child, tmp_path: Path
) -> None:
    numbers = child.stream("count", 1000)
    assert [next(numbers), next(numbers)] == [0, 1]
    numbers.close()
    assert (tmp_path / "closed").exists()
    assert list(child.stream("count", 2)) == [0, 1]


@pytest.mark.parametrize("work", ["die", "stream"])
def test_a_child_killed_at_work_is_told_and_started_again(child: Child, work: str) -> None:
    before = child.pid
    items = child.stream("die_at", 2)
    with pytest.raises(EngineDied):
        list(items) if work == "stream" else child.call("die")
    child.load()
    assert child.call("pid") != before


def test_a_child_killed_between_two_calls_is_started_again_by_the_lane() -> None:
    async def story() -> None:
        lane = Lane(Child(ENGINE))
        first = await lane.call("pid")
        os.kill(first, signal.SIGKILL)
        assert await asyncio.to_thread(soon, lambda: not alive(first))
        assert await lane.call("pid") != first
        await lane.close()

    asyncio.run(story())


def test_a_hung_child_is_killed_after_its_deadline() -> None:
    child = Child(ENGINE, deadline=3.0)
    child.load()
    pid = child.pid
    with pytest.raises(EngineHung, match="3 seconds"):
        child.call("stop")
    assert pid
    assert not alive(pid)
    child.load()
    assert child.call("pid") != pid
    child.close()


def test_errors_of_the_engine_keep_their_kind_and_unknown_ones_lose_their_words(
    child: Child,
) -> None:
    with pytest.raises(ModelDamaged) as told:
        child.call("damaged")
    assert (told.value.sentence, told.value.mend) == ("The file is damaged.", "Fetch it again.")
    with pytest.raises(EngineFailed) as told_less:
        child.call("fail")
    assert told_less.value.sentence == "The engine engine for tests failed: ValueError."
    assert child.call("pid") == child.pid  # it lives on


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ("tests.engines_for_tests:Absent", "a_library_that_nobody_has"),
        ("tests.nothing:Engine", "tests.nothing"),
    ],
)
def test_an_engine_that_cannot_be_imported_is_missing(engine: str, names: str) -> None:
    child = Child(engine)
    with pytest.raises(EngineMissing, match=names):
        child.load()
    assert child.pid is None


def attacks(mark: Path) -> dict[str, bytes]:
    import shutil

    touch = f"touch {mark}"
    return {
        "a shell": Hostile(os.system, touch).pickled(),
        "code": Hostile(eval, f"__import__('os').system({touch!r})").pickled(),
        "a class's maker, which runs code": Hostile(dataclasses.dataclass, type).pickled(),
        "what our modules import": b"\x80\x05cassistant.turn\ndataclass\n.",
        "a module of ours": b"\x80\x05cassistant.turn\nuuid\n.",
        "a function of ours": Hostile(errors.of_code, "defect").pickled(),
        "a dotted name": b"\x80\x05\x8c\x0eassistant.turn\x8c\x0cuuid.os.exit\x93.",
        "another library": Hostile(shutil.rmtree, str(mark)).pickled(),
        "no pickle": b"garbage",
        "half a pickle": pickle.dumps((None, ONE, 0.0))[:-50],
        "nothing": b"",
        "another form": pickle.dumps(5),
        "no error": pickle.dumps(("error", "text", 0.0)),
        "no seconds": pickle.dumps((None, "text", "x")),
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_no_answer_of_a_child_can_run_anything_here(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(Exception, match=r"."):
        _unpickled(attacks(mark)[name])
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a shell", "half a pickle"])
def test_a_child_that_was_taken_over_is_ended(child: Child, name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="no known form"):
        child.call("attack", attacks(tmp_path / "mark")[name])
    assert child.pid is None
    child.load()
    assert child.call("pid") == child.pid


def test_what_engines_give_is_data() -> None:
    given = (
        Transcript("words", 0.5, "engine"),
        (Line("words", float(np.float32(0.5)), (0.0, 0.0, 1.0, 1.0)), np.float32(0.25)),
        ONE,
    )
    fault, back, _ = _unpickled(pickle.dumps((None, given, 0.1), protocol=5))
    assert fault is None
    assert back[:2] == given[:2]


def test_closing_ends_a_child_in_the_middle_of_a_call_and_for_good() -> None:
    async def story() -> None:
        child = Child(ENGINE)
        lane = Lane(child)
        pid = await lane.call("pid")
        busy = asyncio.create_task(lane.call("count", 1, 60.0))
        stream = lane.stream("count", 1, 60.0)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.1)
        await lane.close()
        for each in (busy, waiting):
            with pytest.raises((EngineDied, EngineFailed, RuntimeError)):
                await each
        assert not alive(pid)
        with pytest.raises(EngineDied):
            child.load()  # nothing starts it again
        assert child.pid is None

    asyncio.run(story())


def test_a_lane_closes_an_abandoned_stream(tmp_path: Path) -> None:
    async def story() -> None:
        lane = Lane(Child(ENGINE, {"closed": str(tmp_path / "closed")}))
        async with aclosing(lane.stream("count", 1000)) as numbers:
            async for _ in numbers:
                break
        assert await lane.call("pid")  # waits for the closing
        assert (tmp_path / "closed").exists()
        await lane.close()

    asyncio.run(story())


def test_a_child_dies_with_its_parent() -> None:
    script = (
        "from assistant.child import Child; child = Child('"
        + ENGINE
        + "'); child.load(); print(child.pid, flush=True); child.call('stop')"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        # Stopped, as one deep in its work: it does not read that the connection has ended.
        assert soon(lambda: "(stopped)" in Path(f"/proc/{pid}/status").read_text())
        parent.kill()
    assert soon(lambda: not alive(pid))


def test_no_zombie_is_left() -> None:
    child = Child(ENGINE)
    child.load()
    pid = child.pid
    with pytest.raises(EngineDied):
        child.call("die")
    assert pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # its status was taken
