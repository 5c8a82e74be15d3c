"""The assistant as its users meet it: commands and the daemon, each a process in a place of its
own.

A Place is a home without sound devices, models or settings. Its folder has a short name because the
path of a Unix socket may have no more than 107 bytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("assistant")
TIME, SIGN_QUESTION, TIMER = (
    HERE / "audio" / name for name in ("what-time.wav", "read-sign.flac", "set-timer.wav")
)
SIGN = HERE / "pictures" / "sign.jpg"
PATIENCE = 90.0
"""Seconds after which a process counts as hung. Nothing is asserted about shorter times."""
WITHOUT_ROOTS_RIGHTS = (
    *("setpriv", "--bounding-set=-dac_override,-dac_read_search"),
    "--inh-caps=-dac_override,-dac_read_search",
)
"""Before a command of root: the permissions of files count for it as for everybody."""


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error[")]

    @property
    def code(self) -> str:
        (line,) = self.errors
        return line[len("error[") : line.index("]")]


@dataclass
class Place:
    """Folders and an environment of their own, in which commands and daemons run."""

    folder: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / "s" / "assistant"

    @property
    def database(self) -> Path:
        return self.state / "assistant.db"

    @property
    def models(self) -> Path:
        return self.folder / "d" / "assistant" / "models"

    @property
    def settings(self) -> Path:
        return self.folder / "c" / "assistant" / "config.toml"

    @property
    def socket(self) -> Path:
        return self.folder / "r" / "assistant" / "assistant.sock"

    def run(
        self,
        *arguments: object,
        prefix: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Done:
        """A command to its end. `prefix` is the program that starts it, `settings` environment."""
        with self.begin(*arguments, prefix=prefix, settings=settings) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return Done(process.returncode, out, err)

    @contextmanager
    def begin(
        self,
        *arguments: object,
        prefix: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that runs; it is killed at the end if it still does."""
        process = subprocess.Popen(
            [*prefix, str(COMMAND), *map(os.fspath, map(_text, arguments))],
            env=self.environment | dict(settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            cwd=self.folder,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def ask(self, *arguments: object, **others: Any) -> Done:
        return self.run("ask", *arguments, **others)

    def rows(self, table: str = "turns") -> list[dict[str, Any]]:
        """The rows of the database, the oldest first; none where there is no database yet."""
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                return []
            return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")]

    def set(self, toml: str) -> None:
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(toml)

    @contextmanager
    def daemon(
        self, settings: Mapping[str, str] | None = None, ready: str = "^Ready"
    ) -> Iterator[Daemon]:
        """A running daemon, once it has said that line."""
        daemon = Daemon(self, settings or {})
        try:
            daemon.wait_for(ready)
            yield daemon
        finally:
            daemon.end()


@contextmanager
def place(**settings: str) -> Iterator[Place]:
    """A new place. `settings` become environment variables."""
    folder = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    (folder / "r").mkdir(mode=0o700)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ASSISTANT_", "XDG_", "PULSE_", "PYTHON"))
    }
    environment = inherited | {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "s"),
        "XDG_DATA_HOME": str(folder / "d"),
        "XDG_CONFIG_HOME": str(folder / "c"),
        "XDG_RUNTIME_DIR": str(folder / "r"),
        "PULSE_SERVER": f"unix:{folder}/no-sound-server",
        # Sound cards of the machine that runs the tests have other names.
        "ASSISTANT_SPEECH__DEVICE": "no such device",
        "ASSISTANT_LISTEN__DEVICE": "no such device",
        **settings,
    }
    try:
        yield Place(folder, environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Daemon:
    """`assistant run`, with what it has said so far."""

    place: Place
    settings: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    """Standard output and error, as the lines came."""

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "run"],
            env=self.place.environment | dict(self.settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.place.folder,
        )
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for(self, pattern: str, after: int = 0) -> str:
        """The first line, from number `after` on, in which the pattern is found."""
        until = time.monotonic() + PATIENCE
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if re.search(pattern, line):
                        return line
                left = until - time.monotonic()
                alive = left > 0 and any(reader.is_alive() for reader in self._readers)
                assert alive, f"waited in vain for {pattern!r}:\n{self.text}"
                self._news.wait(min(left, 1.0))

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal; gives the exit status once all it said was read."""
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with closing(stream):
                    pass

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


def request(path: Path, line: bytes) -> list[dict[str, Any]]:
    """What the daemon's socket answers to a line, to the end of the connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            client.sendall(line)
        answer = b""
        with suppress(ConnectionResetError):  # it left unread what we sent
            while part := client.recv(1 << 16):
                answer += part
    return [json.loads(each) for each in answer.splitlines()]


def children(pid: int) -> dict[int, str]:
    """The engines' processes of an assistant: process number -> its command line."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            line = _read(Path(f"/proc/{child}/cmdline")).replace("\0", " ")
            if "assistant.child" in line:
                found[int(child)] = line
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    status = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(status) and status[0] != "Z"


def wait_until(holds: Any, what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.02)


def wav(path: Path) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], int]:
    """Samples from -1 to 1, and the rate, of a 16-bit WAV: the standard library's reader."""
    import wave

    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        return samples.reshape(-1, file.getnchannels()).mean(axis=1), file.getframerate()


def is_speech(path: Path, words: int) -> bool:
    """Whether a WAV may be so many words: loud enough, with pauses, 0.15 to 1 second a word."""
    samples, rate = wav(path)
    frames = samples[: len(samples) // (rate // 50) * (rate // 50)].reshape(-1, rate // 50)
    loud = np.sqrt((frames**2).mean(axis=1))
    return bool(
        0.15 * words < len(samples) / rate < 1.0 * words + 1
        and np.percentile(loud, 90) > 0.02  # the loud syllables
        and np.percentile(loud, 5) < np.percentile(loud, 90) / 4  # and what is between them
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (OSError, ProcessLookupError):
        return ""


def _text(argument: object) -> str:
    return os.fspath(argument) if isinstance(argument, os.PathLike) else str(argument)
