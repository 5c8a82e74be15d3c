"""The terminal's recording light: a line of words, where there is no lamp.

It guards capture and fails closed: a microphone takes the Lit that `recording` gives, and only a
stream that really took the words "● recording" gives one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from assistant import errors
from assistant.ports import Lit

RED, PLAIN = "\x1b[31m", "\x1b[0m"


def require_lit(lit: Lit) -> None:
    """What every capture asks before it opens anything: raises LightDark unless lit."""
    if not lit.on:
        raise errors.LightDark("The recording light is off, so I do not listen.")


class TerminalLight:
    """A line when it goes on and one when it goes out: others write to the same terminal, so no
    line is ever erased. Red on a terminal, unless NO_COLOR is set (no-color.org)."""

    name = "terminal"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._holders = 0

    @contextmanager
    def recording(self) -> Iterator[_Lit]:
        """On while held. Raises LightDark where the stream is closed or takes no words."""
        if self._holders == 0:
            self._light()
        lit = _Lit(self._stream)
        self._holders += 1
        try:
            yield lit
        finally:
            lit.held = False
            self._holders -= 1
            if self._holders == 0:
                with suppress(OSError, ValueError):  # a stream that is gone shows no light anyway
                    self._write("○ not recording")

    def _light(self) -> None:
        red = self._stream_is_terminal() and not os.environ.get("NO_COLOR")
        try:
            self._write(f"{RED}● recording{PLAIN}" if red else "● recording")
        except (OSError, ValueError) as error:
            raise errors.LightDark(
                "The recording light cannot be lit, so I do not listen.",
                "Run me in a terminal that shows my words.",
            ) from error

    def _stream_is_terminal(self) -> bool:
        return not self._stream.closed and self._stream.isatty()

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class _Lit:
    """Proof that the light is on: true only inside `recording`, and while its stream is open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.held = True

    @property
    def on(self) -> bool:
        return self.held and not self._stream.closed
