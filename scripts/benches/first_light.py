"""First light: a whole turn beside its bare engines, start-up, and the recogniser's words."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benches import words
from scripts.benches.bare import REPLY
from scripts.benches.table import Row, compared, unmeasured

ROOT = Path(__file__).resolve().parents[2]
AUDIO, PICTURES = ROOT / "tests/audio", ROOT / "tests/pictures"
COMMAND = Path(sys.executable).with_name("assistant")
RUNS = 7
DEMO = (
    ("--audio", AUDIO / "what-time.wav"),
    ("--audio", AUDIO / "read-sign.flac", "--image", PICTURES / "sign.jpg"),
    ("--audio", AUDIO / "set-timer.wav"),
)


def rows() -> list[Row]:
    with _private_folders():
        return [
            _demo(),
            *asyncio.run(_turns()),
            _start(),
            _import(),
            *(Row(**row) for row in words.rows()),
            unmeasured("fresh machine: steps by hand", "none", "run scripts/demo on one"),
            unmeasured("tests without network or sound", "green", "run scripts/test"),
        ]


def _demo() -> Row:
    """Three processes, as scripts/demo runs them, beside three that only call the engines."""
    ours = [_seconds(_ask_three) for _ in range(3)]
    bare = [_seconds(_bare_three) for _ in range(3)]
    return compared("three demo turns, three processes", ours, bare, "s", "< 10 s", 10.0)


def _ask_three() -> None:
    for number, question in enumerate(DEMO):
        reply = Path(os.environ["XDG_STATE_HOME"]) / f"{number}.wav"
        _run([COMMAND, "ask", *question, "--reply", reply])


def _bare_three() -> None:
    for question in DEMO:
        _run([sys.executable, "-m", "scripts.benches.bare", *question[1::2]])


async def _turns() -> list[Row]:
    """Warm turns in one process: the walk's whole time beside the same engines called bare."""
    from assistant import assemble
    from assistant.config import Config
    from assistant.converse import converse
    from assistant.events import Bus, Ended, Event
    from assistant.store import Store
    from assistant.turn import Origin, Turn
    from scripts.benches.bare import Bare

    state = Path(os.environ["XDG_STATE_HOME"])
    bus, store = Bus(), Store(state / "bench.db")
    await store.open()
    speaker = assemble.speaker_to(state / "reply.wav")
    built = assemble.assemble(Config(), bus, store, speaker)
    ended: list[Ended] = []

    async def keep(event: Event) -> None:
        if isinstance(event, Ended):
            ended.append(event)

    bus.subscribe(keep)
    audio, image = AUDIO / "read-sign.flac", PICTURES / "sign.jpg"
    bare, walls = Bare(assemble.threads(Config())), []
    for _ in range(RUNS + 1):  # the first warms up and does not count
        walls.append(await asyncio.to_thread(_seconds, lambda: bare.turn(audio, image)))
        await converse(Turn(Origin.COMMAND, audio=audio, frames=(image,)), built.house)
    await bus.close()
    await built.close()
    await store.close()
    total = [each.seconds for each in ended[1:]]
    own = [each.overhead * 1000 for each in ended[1:]]
    return [
        compared(
            "own overhead of a turn (sound, sign, reply)",
            own,
            [wall * 1000 for wall in walls[1:]],
            "ms",
            "< 30 ms",
            30.0,
        ),
        compared("the same turn, whole, warm", total, walls[1:], "s", "-", float("inf")),
    ]


def _start() -> Row:
    """From starting the command to the reply's first words, beside a process that only speaks."""
    ours = [_until_reply() for _ in range(RUNS)]
    speak = [sys.executable, "-m", "scripts.benches.bare", "--say", REPLY]
    bare = [_seconds(lambda: _run(speak)) for _ in range(RUNS)]
    return compared("start of ask --text to its answer", ours, bare, "s", "< 1.5 s", 1.5)


def _until_reply() -> float:
    start = time.perf_counter()
    command = [str(COMMAND), "ask", "--text", "what time is it", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        while b"reply:" not in (text := process.stdout.readline()):
            if not text:
                raise RuntimeError("assistant ask gave no reply")
        took = time.perf_counter() - start
        process.stdout.read()
    return took


def _import() -> Row:
    """Importing the package, beside an interpreter that imports nothing."""
    bare = [_seconds(lambda: _run([sys.executable, "-c", "pass"])) * 1000 for _ in range(RUNS)]
    whole = [
        _seconds(lambda: _run([sys.executable, "-c", "import assistant"])) * 1000
        for _ in range(RUNS)
    ]
    return compared("python, importing assistant", whole, bare, "ms", "< 150 ms", 150.0)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _run(command: list[object]) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd=ROOT)


@contextmanager
def _private_folders() -> Iterator[None]:
    """No model, setting, timer or daemon of the user takes part."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        names = ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
        before = dict(os.environ)
        os.environ.update(dict.fromkeys(names, folder))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
