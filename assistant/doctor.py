"""`assistant doctor`: what works here, and how to mend what does not.

It only looks: no stream is opened, no model is loaded, nothing is written. `ok` works, `warn` is
something to do without, `fail` is in the way of turns.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from assistant import assemble, client
from assistant.config import Config
from assistant.errors import AssistantError, Trouble
from assistant.events import Bus
from assistant.ports import Microphone, Speaker
from assistant.store import MIGRATIONS, Store, of_sqlite

MB = 1_000_000
DISK_FAIL, DISK_WARN = 50 * MB, 1000 * MB
MEMORY_WARN = 700 * MB
"""Reading a picture takes 400 MB, hearing and speaking the rest."""
OLDEST_YEAR = 2026
"""When this was written: a clock that says less was never set."""
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxcb.so.1": "libxcb1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libatomic.so.1": "libatomic1",
}
"""What OpenCV and other wheels load, and Debian's packages of them."""
SETUP = "Run scripts/setup."


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    finding: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.state:<4}  {self.check:<17}- {self.finding.rstrip('.')}{mend}"


def report(config: Config, *, as_json: bool) -> int:
    """Prints all findings; gives the exit status: that of Trouble if any is a failure, else 0."""
    findings: list[Finding] = []
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            print(finding, flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return Trouble.status if any(each.state is State.FAIL for each in findings) else 0


def examine(config: Config) -> Iterator[Finding]:
    for check in CHECKS:
        try:
            yield from check(config)
        except Exception as error:  # a check that fails is a finding: the others still count
            name = check.__name__.removeprefix("_")
            said = f"could not be checked: {type(error).__name__}: {error}"
            yield Finding(name, State.FAIL, said, "Please report this.")


# ---- what is installed ---------------------------------------------------------------------------


def _python(config: Config) -> Iterator[Finding]:
    fits = (3, 11) <= sys.version_info < (3, 14)
    mend = "" if fits else "Set up with Python 3.11, 3.12 or 3.13: see scripts/setup --help."
    yield Finding("python", State.OK if fits else State.FAIL, platform.python_version(), mend)


def _packages(config: Config) -> Iterator[Finding]:
    found = []
    try:
        wanted = metadata.requires("assistant") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", State.FAIL, "the assistant itself is not installed", SETUP)
        return
    for name in (re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in wanted):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield Finding("packages", State.FAIL, f"{name} is not installed", SETUP)
    if found:
        yield Finding("packages", State.OK, ", ".join(found))


def _system_libraries(config: Config) -> Iterator[Finding]:
    missing = []
    for library, package in SYSTEM_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if missing:
        mend = f"{SETUP} Debian's packages: {' '.join(missing)}."
        yield Finding("system libraries", State.FAIL, f"{len(missing)} are missing", mend)
    else:
        yield Finding("system libraries", State.OK, "all there")


def _voice(config: Config) -> Iterator[Finding]:
    try:
        assemble.check_voice(config)
    except AssistantError as error:
        yield _of(error, "built-in voice", State.FAIL)
    else:
        yield Finding("built-in voice", State.OK, f"espeak-ng, {config.speech.language}")


# ---- hardware and the right to use it ------------------------------------------------------------


def _sound(config: Config) -> Iterator[Finding]:
    yield _device("microphone", config, assemble.open_microphone)
    yield _device("loudspeaker", config, assemble.open_speaker)


def _device(
    what: str, config: Config, find: Callable[[Config], Awaitable[Microphone | Speaker]]
) -> Finding:
    async def found() -> str:
        return (await find(config)).name

    try:
        return Finding(what, State.OK, asyncio.run(found()))
    except AssistantError as error:
        return _of(error, what, State.WARN)  # typed turns, and replies in words, still work


def _cameras(config: Config) -> Iterator[Finding]:
    cameras: dict[str, str] = {}
    for node in sorted(Path("/dev").glob("video*")):
        described = _text(Path("/sys/class/video4linux") / node.name / "name") or "unnamed"
        cameras.setdefault(described, str(node))  # one camera has several nodes
    if cameras:
        said = ", ".join(f"{name} ({node})" for name, node in cameras.items())
        yield Finding("cameras", State.OK, said)
    else:
        yield Finding("cameras", State.WARN, "none", "Give pictures with `ask --image`.")


def _permissions(config: Config) -> Iterator[Finding]:
    nodes = [*Path("/dev/snd").glob("pcm*"), *Path("/dev").glob("video*")]
    barred = [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    for group in sorted({_group(node) for node in barred}):
        names = ", ".join(str(node) for node in barred if _group(node) == group)
        mend = f"sudo usermod -aG {group} $USER, then log in again."
        yield Finding("permissions", State.WARN, f"you may not use {names}", mend)
    if nodes and not barred:
        yield Finding("permissions", State.OK, "sound and camera devices may be used")
    for name, state in (("state", State.FAIL), ("runtime", State.FAIL), ("models", State.WARN)):
        folder: Path = getattr(config.folders, name)
        check, there = f"{name} folder", _there(folder)
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield Finding(check, State.OK, str(folder))
        else:
            said = f"{folder} cannot be {'written' if there == folder else f'made in {there}'}"
            mend = f"Give yourself the right to write there, or set folders.{name}."
            yield Finding(check, state, said, mend)


def _machine(config: Config) -> Iterator[Finding]:
    model = _text(Path("/proc/device-tree/model")) or platform.machine()
    cores = len(os.sched_getaffinity(0))
    mend = "" if cores > 1 else "Replies will be slow: two cores or more are better."
    said = f"{model.rstrip(chr(0))}, {cores} core{'s' if cores > 1 else ''}"
    yield Finding("machine", State.OK if cores > 1 else State.WARN, said, mend)


# ---- engines, models, daemon ---------------------------------------------------------------------


def _engines(config: Config) -> Iterator[Finding]:
    nowhere = Store(config.folders.state / "assistant.db")  # never opened
    built = assemble.assemble(
        config, Bus(), nowhere, assemble.speaker_to(None), forgiving=True
    )  # makes no engine: lanes do that at the first use
    for notice in built.notices:
        yield _of(notice, "engines", State.FAIL)
    verbs = built.house.uses.items()
    yield Finding("engines", State.OK, ", ".join(f"{verb} with {name}" for verb, name in verbs))
    yield from _models(config, {str(notice) for notice in built.notices})


def _models(config: Config, told: set[str]) -> Iterator[Finding]:
    models = assemble.models_found(config)
    for kind, file in models:
        try:
            assemble.check_model(kind, file)
        except AssistantError as error:
            if str(error) not in told:
                yield _of(error, "models", State.WARN)
        else:
            name = file.name.removesuffix(assemble.SUFFIXES[kind])
            yield Finding("models", State.OK, f"{kind} {name} looks whole")
    if not models:
        said = f"none in {config.folders.models}: the built-in engines serve"
        yield Finding("models", State.OK, said)


def _daemon(config: Config) -> Iterator[Finding]:
    async def runs() -> bool:
        connection = await client.connect(config.folders.runtime)
        if connection:
            connection[1].close()
        return connection is not None

    try:
        said = "running" if asyncio.run(runs()) else "not running: commands work alone"
        yield Finding("daemon", State.OK, said)
    except OSError as error:
        socket = client.socket_path(config.folders.runtime)
        mend = "Is it another user's? Set folders.runtime."
        yield Finding("daemon", State.WARN, f"{socket}: {error.strerror}", mend)


def _journal(config: Config) -> Iterator[Finding]:
    path = config.folders.state / "assistant.db"
    if not path.exists():
        yield Finding("journal", State.OK, "none yet")
        return
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        yield _of(of_sqlite(error, path), "journal", State.FAIL)
        return
    if verdict != "ok":
        mend = "Move it away to start a new one."
        yield Finding("journal", State.FAIL, f"{path} is damaged", mend)
    elif version > len(MIGRATIONS):
        mend = "Update the assistant, or set another folders.state."
        yield Finding("journal", State.FAIL, f"{path} is of a newer version", mend)
    else:
        yield Finding("journal", State.OK, f"{path}, whole")


# ---- disk, memory, clock -------------------------------------------------------------------------


def _disk(config: Config) -> Iterator[Finding]:
    free = shutil.disk_usage(_there(config.folders.state)).free
    state = State.FAIL if free < DISK_FAIL else State.WARN if free < DISK_WARN else State.OK
    mend = "" if state is State.OK else "Make room: a full disk ends turns and timers."
    yield Finding("disk", state, f"{free // MB} MB free for {config.folders.state}", mend)


def _memory(config: Config) -> Iterator[Finding]:
    described = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    available = int(described[1]) * 1024 if described else 0
    enough = available >= MEMORY_WARN
    mend = "" if enough else "End other programs: reading pictures takes 400 MB."
    state = State.OK if enough else State.WARN
    yield Finding("memory", state, f"{available // MB} MB available", mend)


def _clock(config: Config) -> Iterator[Finding]:
    now = datetime.now().astimezone()
    said, set_it = f"{now:%Y-%m-%d %H:%M %Z}", "Connect to a network, or set it: sudo date --set."
    synchronised = _synchronised()
    if now.year < OLDEST_YEAR:
        yield Finding("clock", State.FAIL, f"{said}, which cannot be", set_it)
    elif synchronised is False:
        yield Finding("clock", State.WARN, f"{said}, not synchronised", set_it)
    else:
        known = "synchronised" if synchronised else "nothing here tells whether it is synchronised"
        yield Finding("clock", State.OK, f"{said}, {known}")
    if any(Path("/sys/class/rtc").glob("rtc*")):
        yield Finding("battery clock", State.OK, "there")
    else:
        mend = "After a power cut timers wait for the network's time: let the board start with one."
        yield Finding("battery clock", State.WARN, "none", mend)


def _synchronised() -> bool | None:
    """Whether the network has set the clock; None where systemd does not tell."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    timedatectl = shutil.which("timedatectl")
    if timedatectl is None:
        return None
    command = (timedatectl, "show", "--property=NTPSynchronized", "--value")
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(asked.stdout.strip())


# ---- words shared by the checks ------------------------------------------------------------------


def _of(error: AssistantError, check: str, state: State) -> Finding:
    return Finding(check, state, error.sentence, error.mend)


def _there(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _text(path: Path) -> str:
    """The file's text; empty where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)


CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _python, _packages, _system_libraries, _voice,
    _sound, _cameras, _permissions, _machine,
    _engines, _daemon, _journal,
    _disk, _memory, _clock,
)  # fmt: skip
