"""`assistant run`: opens what hardware is there, says what is missing, and serves until stopped."""

from __future__ import annotations

import asyncio
import signal
import time

from assistant import assemble, client, log
from assistant.config import Config
from assistant.daemon import Daemon, typed_lines
from assistant.errors import AssistantError, DaemonRunning, DeviceError, StoreBusy
from assistant.events import Bus, Event, Noticed, Reader
from assistant.journal import Journal
from assistant.ports import Microphone, Speaker
from assistant.show import Terminal
from assistant.store import Lock, Store

PATIENCE = 10.0
"""Seconds to wait for a command that works alone; two daemons never wait for each other."""


async def run(config: Config) -> None:
    lock = Lock(config.folders.state)
    await _take(lock, config)
    bus, store = Bus(), Store(config.folders.state / "assistant.db")
    try:
        await store.open()
        journal = Journal(store, config.journal.days)
        await journal.begin()
        for reader in (_watched(journal, bus), log.read, Terminal().read):
            bus.subscribe(reader)
        await _serve(config, bus, store)
    finally:
        await bus.close()
        await store.close()
        lock.free()


def _watched(journal: Journal, bus: Bus) -> Reader:
    """The journal's reader; where it cannot write, the wearer is told, once for each reason."""
    told: set[str] = set()

    async def read(event: Event) -> None:
        try:
            await journal.read(event)
        except AssistantError as error:
            if error.code not in told:
                told.add(error.code)
                bus.publish(Noticed("", str(error), error.code))

    return read


async def _take(lock: Lock, config: Config) -> None:
    if connection := await client.connect(config.folders.runtime):
        connection[1].close()
        raise DaemonRunning("The assistant is already running.", "Use it, or stop it first.")
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return lock.take("the daemon")
        except StoreBusy as error:
            if "daemon" in lock.holder():
                running = DaemonRunning("The assistant is already running.", "Stop it first.")
                raise running from error
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(0.05)


async def _serve(config: Config, bus: Bus, store: Store) -> None:
    speaker, microphone = await _speaker(config, bus), await _microphone(config, bus)
    built = assemble.assemble(config, bus, store, speaker, rings=True, forgiving=True)
    for notice in built.notices:
        bus.publish(Noticed("", f"{notice} The built-in engine serves instead.", notice.code))
    daemon = Daemon(
        built.house,
        assemble.terminal_light(),
        microphone,
        config.folders.runtime,
        config.listen.longest,
        assemble.speaker_to,
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, daemon.stop)
    warming = asyncio.create_task(_warm(built, bus))
    try:
        await daemon.serve(typed_lines(), lambda: _greet(built.house.uses, microphone))
    finally:
        warming.cancel()
        await built.close()
        print("stopped", flush=True)


def _greet(uses: dict[str, str], microphone: Microphone | None) -> None:
    verbs = ", ".join(f"{verb} with {engine}" for verb, engine in uses.items())
    talk = " Press Enter to talk, Enter again to end." if microphone else ""
    print(f"assistant {verbs}\nReady. Type a line to ask.{talk} Ctrl-C stops.", flush=True)


async def _warm(built: assemble.Built, bus: Bus) -> None:
    """Loads the engines of every spoken turn now, so that the first one need not wait."""
    for error in await built.load([*built.hearing, *built.answering]):
        bus.publish(Noticed("", str(error), error.code))


async def _speaker(config: Config, bus: Bus) -> Speaker:
    try:
        return await assemble.open_speaker(config)
    except DeviceError as error:
        bus.publish(Noticed("", f"{error.sentence} Replies are shown only.", error.code))
        return assemble.speaker_to(None)


async def _microphone(config: Config, bus: Bus) -> Microphone | None:
    try:
        return await assemble.open_microphone(config)
    except DeviceError as error:
        bus.publish(Noticed("", f"{error.sentence} Type your questions.", error.code))
        return None
