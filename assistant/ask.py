"""`assistant ask`: one turn, by the daemon if one runs, else alone under the store's lock."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from assistant import client, log
from assistant.account import Account
from assistant.config import Config
from assistant.errors import AssistantError, DeviceError, StoreBusy
from assistant.events import Event, Reader, Started
from assistant.ports import Speaker
from assistant.show import Terminal
from assistant.store import Lock
from assistant.turn import Origin, Turn, whole

PATIENCE = 15.0
"""Seconds to wait for another command that works alone."""


@dataclass(frozen=True)
class Question:
    """What the command line asks. Paths are absolute: the daemon has another working directory."""

    text: str | None
    audio: Path | None
    image: Path | None
    reply: Path | None
    quiet: bool

    @classmethod
    def of(cls, options: argparse.Namespace) -> Question:
        text = whole(options.text) if options.text else None
        audio, image, reply = (
            path and path.absolute() for path in (options.audio, options.image, options.reply)
        )
        return cls(text, audio, image, reply, options.quiet)

    def turn(self) -> Turn:
        frames = (self.image,) if self.image else ()
        return Turn(Origin.COMMAND, text=self.text, audio=self.audio, frames=frames)

    def request(self) -> dict[str, object]:
        """The question as the daemon's socket takes it."""
        paths = {"audio": self.audio, "image": self.image, "reply": self.reply}
        asked = {name: str(path) for name, path in paths.items() if path}
        return {**asked, "text": self.text, "quiet": self.quiet}


async def ask(config: Config, question: Question, *, as_json: bool) -> None:
    """Raises what went wrong with the turn, after all that is known of it was shown."""
    report, until = _Report(as_json), time.monotonic() + PATIENCE
    try:
        while not await client.ask(config.folders.runtime, question.request(), report.read):
            if lock := _free_lock(config, until):
                await _alone(config, question, report.read, lock)
                break
            await asyncio.sleep(0.05)  # another command works alone, or a daemon is starting
    except AssistantError as error:
        report.close(error)
        raise
    report.close(None)


def _free_lock(config: Config, until: float) -> Lock | None:
    """The store's lock, taken; None if somebody else has it. Raises StoreBusy after `until`."""
    lock = Lock(config.folders.state)
    try:
        lock.take("a command")
    except StoreBusy:
        if time.monotonic() < until:
            return None
        raise
    return lock


async def _alone(config: Config, question: Question, reader: Reader, lock: Lock) -> None:
    from assistant import assemble
    from assistant.converse import converse
    from assistant.events import Bus
    from assistant.journal import Journal
    from assistant.store import Store

    bus, store = Bus(), Store(config.folders.state / "assistant.db")
    try:
        await store.open()
        journal = Journal(store, config.journal.days)
        await journal.begin()
        speaker = await _speaker(config, question)
        built = assemble.assemble(config, bus, store, speaker)
        for each in (journal.read, log.read, reader):
            bus.subscribe(each)
        needed = [
            *(built.hearing if question.audio else []),
            *([built.reading] if question.image else []),
        ]
        loading = asyncio.create_task(built.load(needed))  # what goes wrong, the turn will tell
        try:
            await converse(question.turn(), built.house)
        finally:
            loading.cancel()
            await bus.close()
            await built.close()
        if bus.trouble:
            raise bus.trouble[0]
    finally:
        await store.close()
        lock.free()


async def _speaker(config: Config, question: Question) -> Speaker:
    from assistant import assemble

    if question.reply or question.quiet:
        return assemble.speaker_to(question.reply)
    try:
        return await assemble.open_speaker(config)
    except DeviceError as error:
        print(f"({error.sentence} The reply is shown only.)", file=sys.stderr)
        return assemble.speaker_to(None)


class _Report:
    """Shows the turn: as it comes for a person, as one object at the end for a program."""

    def __init__(self, as_json: bool) -> None:
        self._terminal = None if as_json else Terminal()
        self._account: Account | None = None

    async def read(self, event: Event) -> None:
        if self._terminal:
            await self._terminal.read(event)
            return
        if isinstance(event, Started):
            self._account = Account(event.turn)
        if self._account:
            self._account.take(event)

    def close(self, error: AssistantError | None) -> None:
        if self._account is None:
            return
        known = self._account.to_dict()
        if error:
            known["error"] = {
                "code": error.code,
                "sentence": error.sentence,
                "mend": error.mend,
            }
            error.shown = True  # the caller prints no second object
        print(json.dumps(known))
