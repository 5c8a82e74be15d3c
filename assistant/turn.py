"""The datum of the house: a Turn, one request of the wearer and all that is known of it.

Everything here is frozen. A stage takes a turn and gives a new one; nothing is changed in place,
so a turn can be read anywhere without asking who else holds it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
"""Hz. What every recogniser and detector of the house takes."""


class Integrity(IntEnum):
    """Who can have written the words: the wearer, or the world."""

    TRUSTED = 0
    UNTRUSTED = 1


class Confidentiality(IntEnum):
    """Who may read the words."""

    PUBLIC = 0
    PRIVATE = 1
    SEALED = 2


@dataclass(frozen=True, slots=True)
class Label:
    """Where words come from and where they may go. Joining labels only ever raises them."""

    integrity: Integrity
    confidentiality: Confidentiality
    sources: frozenset[str] = frozenset()

    def __or__(self, other: Label) -> Label:
        """The label of words made from both."""
        return Label(
            max(self.integrity, other.integrity),
            max(self.confidentiality, other.confidentiality),
            self.sources | other.sources,
        )

    def __str__(self) -> str:
        sources = "+".join(sorted(self.sources)) or "nothing"
        return f"{self.integrity.name.lower()} {self.confidentiality.name.lower()} ({sources})"


OWN_WORDS = Label(Integrity.TRUSTED, Confidentiality.PUBLIC)
"""Fixed sentences of the assistant itself."""
WEARER = Label(Integrity.TRUSTED, Confidentiality.PRIVATE, frozenset({"wearer"}))
"""What the wearer says or types, after a key, a button or a wake word."""
SEEN = Label(Integrity.UNTRUSTED, Confidentiality.PRIVATE, frozenset({"picture"}))
"""Text that a picture shows: anyone can have written it."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono sound: samples float32 [n] between -1 and 1, at `rate` Hz."""

    samples: NDArray[np.float32]
    rate: int = RATE

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def part(self, start: float, end: float) -> Sound:
        """The sound from `start` to `end`, both in seconds, cut to what there is."""
        first, last = max(0, int(start * self.rate)), max(0, int(end * self.rate))
        return Sound(self.samples[first:last], self.rate)


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture: pixels uint8 [height, width, 3] in the order red, green, blue."""

    pixels: NDArray[np.uint8]
    source: str = "picture"


class Origin(StrEnum):
    """How a turn came to the inbox."""

    TYPED = "typed"
    SPOKEN = "spoken"
    COMMAND = "command"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of a reply, with the label of all that it was made from."""

    text: str
    label: Label = OWN_WORDS


@dataclass(frozen=True, slots=True)
class Turn:
    """One request. Audio and frames may still be files: the first stages decode them."""

    origin: Origin
    text: str | None = None
    audio: Sound | Path | None = None
    frames: tuple[Frame | Path, ...] = ()
    label: Label = WEARER
    confidence: float = 1.0
    """Between 0 and 1: how sure the recogniser is of the text; 1 for typed words."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def but(self, **changes: object) -> Turn:
        """The same turn with some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


def whole(text: str) -> str:
    """Text that can be written anywhere: bytes that were no UTF-8 (lone surrogates) become "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")
