"""The first tier: a transcript -> a tool call, or "not mine". A plain table of whole phrases.

A request must fit a phrase from its first word to its last, so that talk about a thing ("the
history of timers", "don't set a timer") is never taken for a request.
"""

from __future__ import annotations

import re

from assistant.ports import Call
from assistant.spoken import DURATION

LONGEST = 200
"""Characters. A longer request is no everyday phrase."""

_DURATION = f"(?P<duration>{re.sub(r'[?]P<[a-z]+>', '?:', DURATION.pattern)})"
_NAME = r"(?P<name>[a-z]+(?: [a-z]+)?)"
_A = r"(?:(?:a|an|the|my|one|another)(?: new)? )?"
_START = r"(?:(?:set|start|make|create|put on|give me|begin)(?: me)? )"
_FILLER = re.compile(r"\b(?:please|hey|okay|ok|um+|uh+|er+|assistant)\b")
_POLITE = re.compile(r"^(?:can|could|would|will) you ")

_TABLE = [
    (
        "tell_time",
        r"(?:tell me |do you know |what is )?(?:the time|what time (?:is it|it is))(?: now)?"
        r"|time|how late is it",
    ),
    (
        "tell_date",
        r"(?:tell me |what is )?(?:the |today's )?(?:date|day)(?: today| is it(?: today)?)?"
        r"|(?:tell me )?what (?:date|day)(?: of the week)? (?:is it|is today|it is)(?: today)?",
    ),
    ("set_timer", rf"{_START}?{_A}timer (?:for|of) {_DURATION}(?: (?:called|named) {_NAME})?"),
    ("set_timer", rf"{_START}{_A}(?P<name>[a-z]+) timer (?:for|of) {_DURATION}"),
    ("set_timer", rf"{_START}?{_A}{_DURATION} timer(?: (?:called|named) {_NAME})?"),
    (
        "list_timers",
        r"(?:what|which) timers (?:are|do i have)(?: running| set| on)?"
        r"|(?:list|show|check)(?: me)?(?: all)?(?: the| my)? timers?"
        r"|how (?:long|much(?: time)?) (?:is left|is remaining|do i have left|left)"
        r"(?: on (?:the|my) timers?)?"
        r"|how long (?:does|do) (?:the|my) timers? (?:have|still run)",
    ),
    (
        "cancel_timer",
        r"(?:cancel|stop|delete|end|turn off|clear)(?: (?:the|my|a|that|this))?"
        r"(?: (?P<name>(?!(?:the|my|an?|that|this|any|every|all) )[a-z]+))? timer",
    ),
    (
        "read_text",
        r"(?:what|tell me what) does (?:this|that|the|it)"
        r"(?: (?:sign|label|menu|page|text|board|paper|screen|poster|picture|note))? say"
        r"|tell me what (?:this|that|it|the [a-z]+) says"
        r"|what is written (?:here|there|on (?:this|that|the|it)(?: [a-z]+)?)"
        r"|read (?:it|this|that|out|aloud|(?:(?:this|that|the) [a-z]+))"
        r"(?: (?:out|aloud|to me|out loud|for me))?",
    ),
    (
        "what_can_you_do",
        r"(?:help|help me|what can you do(?: for me)?|what can i (?:ask|say)(?: you)?)",
    ),
]
PHRASES = [(name, re.compile(pattern)) for name, pattern in _TABLE]


def understand(text: str) -> Call | None:
    """The tool that the request asks for, or None: not an everyday phrase.

    Arguments are spans of what was said, so nothing can be made up.
    """
    if len(text) > LONGEST:
        return None
    said = _plain(text)
    for name, phrase in PHRASES:
        if found := phrase.fullmatch(said):
            slots = {slot: words for slot, words in found.groupdict().items() if words}
            return Call(name, slots)
    return None


def _plain(text: str) -> str:
    """Lower case, no punctuation, no polite fillers: "What's the time, please?" -> "what is the
    time"."""
    text = text.lower().replace("\u2019", "'")
    text = re.sub(r"\b(what|how|that)'s\b", r"\1 is", text)
    text = re.sub(r"[^a-z0-9.' -]|[.](?!\d)|(?<=\w)-(?=\w)", " ", text)
    return _POLITE.sub("", " ".join(_FILLER.sub(" ", text).split()))
