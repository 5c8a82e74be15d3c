"""What a chat model writes -> what is spoken and what is called. Takes text in pieces of any size.

Plain text streams at once, but for the end of a piece that may begin a mark. Between <tool_call>
and </tool_call> stands a call as JSON (the form of Hermes and Qwen models), which is never spoken;
neither is what stands between <think> and </think>.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from assistant.errors import EngineFailed
from assistant.ports import Call

CALL, CALL_END = "<tool_call>", "</tool_call>"
THINK, THINK_END = "<think>", "</think>"
_OPENING = {CALL: CALL_END, THINK: THINK_END}


class Reply:
    """One reply as it comes. A call that cannot be read raises EngineFailed: to drop it in silence
    would leave the wearer waiting for something that nobody does.

    `thinking`: the prompt ended with <think>, so the reply begins inside it.
    """

    def __init__(self, thinking: bool = False) -> None:
        self._held = ""
        self._until = THINK_END if thinking else ""  # the mark that ends what is not spoken
        self._begun = False  # a visible character of this stretch of text was given

    def add(self, piece: str) -> Iterator[str | Call]:
        """What can be given now: pieces of text, and calls that are complete."""
        self._held += piece
        while True:
            if self._until:
                inside, mark, after = self._held.partition(self._until)
                if not mark:
                    return
                self._held, self._until, self._begun = after, "", False
                if mark == CALL_END:
                    yield _call(inside)
            else:
                at, mark = min((_find(self._held, mark), mark) for mark in _OPENING)
                text, self._held = self._held[:at], self._held[at:]
                yield from self._text(text)
                if not self._held.startswith(mark):
                    return  # all is given, or the rest may yet become a mark
                self._held, self._until = self._held[len(mark) :], _OPENING[mark]

    def end(self) -> Iterator[str | Call]:
        """What was held back. A model may leave out the last </tool_call>."""
        if self._until == CALL_END:
            yield _call(self._held)
        elif not self._until:
            yield from self._text(self._held)
        self._held = ""

    def _text(self, text: str) -> Iterator[str]:
        """Without the space that leads a reply, or that stands between calls."""
        text = text if self._begun else text.lstrip()
        if text:
            self._begun = True
            yield text


def _find(text: str, mark: str) -> int:
    """Where the mark stands, or may begin at the text's end; the text's length if nowhere."""
    at = text.find(mark)
    if at >= 0:
        return at
    ends = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((len(text) - n for n in ends if text.endswith(mark[:n])), len(text))


def _call(text: str) -> Call:
    try:
        found = json.loads(text)
        name, arguments = found["name"], found.get("arguments") or {}
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        if not isinstance(name, str) or not name or not isinstance(arguments, dict):
            raise ValueError("not a call")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EngineFailed(
            "The language model asked for a tool in a way that I cannot read.", "Ask again."
        ) from None  # the cause would carry the text
    return Call(name, arguments)
