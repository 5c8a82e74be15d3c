"""The one place that decides what may flow where: a pure table from (sink, label) to a verdict.

A verdict never relaxes when a label rises, and conditions only accumulate (tests/test_policy.py
walks every cell). Text from the world is untrusted; no wording in it changes a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from assistant.turn import Confidentiality, Integrity, Label


class Sink(StrEnum):
    """What a tool's effect reaches. A tool without one only looks something up."""

    SPEAK = "speak"
    TIMER = "timer"
    EDIT = "edit"


class Kind(IntEnum):
    """From the freest to the strictest."""

    ALLOW = 0
    ATTRIBUTED = 1
    QUOTED = 2
    CONFIRM = 3
    PRESS = 4
    DENY = 5


class Condition(StrEnum):
    ASKED = "the wearer asked for it in this turn, and its words are the wearer's"
    READ_BACK = "what was done is read back"
    UNDO = "it can be taken back"


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Kind
    reason: str
    conditions: frozenset[Condition] = frozenset()


def _verdict(kind: Kind, reason: str, *conditions: Condition) -> Verdict:
    return Verdict(kind, reason, frozenset(conditions))


_TABLE: Mapping[Sink, Mapping[Integrity, Verdict]] = {
    Sink.SPEAK: {
        Integrity.TRUSTED: _verdict(Kind.ALLOW, "the wearer may hear everything"),
        Integrity.UNTRUSTED: _verdict(Kind.ATTRIBUTED, "the world's words are said as the world's"),
    },
    Sink.TIMER: {
        Integrity.TRUSTED: _verdict(Kind.ALLOW, "the wearer asked", Condition.READ_BACK),
        Integrity.UNTRUSTED: _verdict(
            Kind.ALLOW, "only what the wearer asked for", Condition.READ_BACK, Condition.ASKED
        ),
    },
    Sink.EDIT: {
        Integrity.TRUSTED: _verdict(Kind.ALLOW, "the wearer asked", Condition.UNDO),
        Integrity.UNTRUSTED: _verdict(
            Kind.CONFIRM, "the world's words may not change what the wearer keeps", Condition.UNDO
        ),
    },
}


def judge(sink: Sink, label: Label) -> Verdict:
    """What may be done at `sink` with words of `label`."""
    if label.confidentiality is Confidentiality.SEALED and sink is not Sink.SPEAK:
        return Verdict(Kind.DENY, "sealed things are not stored or acted on")
    return _TABLE[sink][label.integrity]


def permits(verdict: Verdict, arguments: Mapping[str, Any], asked: str) -> bool:
    """Whether an effect may run now: nobody can be asked to confirm yet, so a stricter verdict
    than ALLOW is a no. `asked` is what the wearer said in this turn."""
    if verdict.kind is not Kind.ALLOW:
        return False
    if Condition.ASKED in verdict.conditions:
        words = [value for value in arguments.values() if isinstance(value, str) and value]
        return all(word.lower() in asked.lower() for word in words)
    return True
