"""A turn on the terminal: the words as they come, then where the time went. Reads events only."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

from assistant.account import Account
from assistant.events import Asked, Ended, Event, Failed, Noticed, Said, Started

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""All control codes but the line feed."""
WIDTH = 32
"""Characters of the waterfall's time line."""


class Terminal:
    """A reader of the bus. `details`: also the waterfall and the path, after each turn."""

    def __init__(self, out: TextIO | None = None, *, details: bool = True) -> None:
        self._out = out or sys.stdout
        self._details = details
        self._accounts: dict[str, Account] = {}
        self._speaking = ""

    async def read(self, event: Event) -> None:
        try:
            self._show(event)
        except OSError:  # whoever read our words has gone; the turn goes on without them
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())

    def _show(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self._line(f"! {event.sentence}")
            return
        if isinstance(event, Started):
            self._accounts[event.turn] = Account(event.turn)
        account = self._accounts.get(event.turn)
        if account is None:
            return
        account.take(event)
        if isinstance(event, Asked) and event.engine:
            self._line(f"heard: {event.text}")
        elif isinstance(event, Said):
            self._say(event)
        elif isinstance(event, Ended | Failed):
            self._over(account, event)

    def _say(self, event: Said) -> None:
        if self._speaking != event.turn:
            self._line("", end="")
            self._out.write("reply: ")
        self._speaking = event.turn
        self._write(event.text)
        self._out.flush()

    def _over(self, account: Account, event: Ended | Failed) -> None:
        del self._accounts[account.turn]
        self._line("", end="")
        if isinstance(event, Ended) and event.interrupted:
            self._line(f"(interrupted after {event.heard:.1f} s of sound)")
        if isinstance(event, Ended) and self._details:
            self._line(waterfall(account))

    def _write(self, text: str) -> None:
        """Words of the world may hold control codes: a terminal must not obey them."""
        self._out.write(CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))

    def _line(self, text: str, end: str = "\n") -> None:
        """Text on a line of its own: a reply that is being written is ended first."""
        if self._speaking:
            self._out.write("\n")
            self._speaking = ""
        self._write(text + end if text else "")
        self._out.flush()


def waterfall(account: Account) -> str:
    """The stages of a turn, each with its start and length on one time line, in milliseconds."""
    ended = account.ended
    if ended is None:
        return ""
    whole = max(ended.seconds, 1e-6)
    rows = [""]
    for stage in sorted(account.stages, key=lambda stage: (stage.start, -stage.seconds)):
        bar = _bar(stage.start / whole, stage.seconds / whole)
        note = f"  {stage.engine}" if stage.engine else ""
        if stage.first is not None and stage.name == "speech":
            note += f"  (first sound at {stage.first * 1000:.0f} ms)"
        rows.append(f"  {stage.name:<22.22} {bar} {stage.seconds * 1000:8.1f} ms{note}")
    rows.append(
        f"  {'whole turn':<22} {'':{WIDTH}} {whole * 1000:8.1f} ms"
        f"  (engines {ended.engines * 1000:.0f}, own overhead {ended.overhead * 1000:.1f})"
    )
    rows.append(f"  path: {account.path}")
    uses = ", ".join(f"{verb} with {engine}" for verb, engine in account.uses.items())
    rows.append(f"  uses: {uses}")
    return "\n".join(rows)


def _bar(start: float, length: float) -> str:
    first = min(WIDTH - 1, int(start * WIDTH))
    cells = max(1, min(WIDTH - first, round(length * WIDTH)))
    return ("·" * first + "█" * cells).ljust(WIDTH, "·")
