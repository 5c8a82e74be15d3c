"""The terminal's light: says in one line what the device does, where there is no lamp.

A recording light guards capture (it fails closed): a microphone takes the Lit that `recording`
gives, and only a stream that really took the words "● recording" gives one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from assistant import errors
from assistant.ports import Lit, Shown

RED, PLAIN, ERASE_LINE = "\x1b[31m", "\x1b[0m", "\r\x1b[2K"


def require_lit(lit: Lit) -> None:
    """What every capture asks before it opens anything: raises LightDark unless lit."""
    if not lit.on:
        raise errors.LightDark("The recording light is off, so I do not listen.")


class TerminalLight:
    """Shows its state on a stream: one line that is replaced on a terminal, a line for each change
    elsewhere. Colour only on a terminal, and not where NO_COLOR is set (no-color.org)."""

    name = "terminal"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._holders = 0
        self._shown = Shown.OFF
        self._line = ""

    def show(self, shown: Shown) -> None:
        """While something records, that stays in sight. Raises LightDark if it cannot be shown."""
        self._shown = shown
        self._update()

    @contextmanager
    def recording(self) -> Iterator[_Lit]:
        """On while held. Raises LightDark where the stream is closed or takes no words."""
        lit = _Lit(self._stream)
        self._holders += 1
        try:
            self._update()
            lit.held = True
            yield lit
        finally:
            lit.held = False
            self._holders -= 1
            if not self._holders and not self._stream.closed:
                self._update()

    def _update(self) -> None:
        line = "● recording" if self._holders else ""
        if not line and self._shown is not Shown.OFF:
            line = f"○ {self._shown.value}"
        try:
            if self._stream.closed:
                raise ValueError("closed")
            if line != self._line:
                self._stream.write(self._written(line))
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise errors.LightDark(
                "The recording light cannot be lit, so I do not listen.",
                "Run me in a terminal that shows my words.",
            ) from error
        self._line = line

    def _written(self, line: str) -> str:
        if not self._stream.isatty():
            return f"{line or '○ off'}\n"
        if line and self._holders and not os.environ.get("NO_COLOR"):
            line = f"{RED}{line}{PLAIN}"
        return ERASE_LINE + line


class _Lit:
    """Proof that the light is on: true only inside `recording`, and while its stream is open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.held = False

    @property
    def on(self) -> bool:
        return self.held and not self._stream.closed
