"""Text in the turn's pictures, read out."""

from __future__ import annotations

from assistant.tools import Hands, Receipt, tool
from assistant.turn import SEEN, Frame

SURE = 0.5
"""Lines of which the reader is less sure are not read out: a wrong word is worse than none."""


@tool()
async def read_text(hands: Hands) -> Receipt:
    """Read the text in the picture aloud."""
    frames = [frame for frame in hands.turn.frames if isinstance(frame, Frame)]
    if not frames:
        return Receipt(
            "I have no picture to read. Give me one with assistant ask and an image.",
            facts={"words": 0},
        )
    found = [line for frame in frames for line in await hands.reader.read(frame)]
    lines = [line for line in found if line.confidence >= SURE]
    if not lines:
        return Receipt("I find no text in the picture.", facts={"words": 0})
    text = " ".join(_sentence(line.text) for line in lines)
    words = sum(len(line.text.split()) for line in lines)
    sure = sum(line.confidence for line in lines) / len(lines)
    return Receipt(text, SEEN, {"words": words}, confidence=sure)


def _sentence(line: str) -> str:
    """A line with an end that a voice pauses at."""
    line = " ".join(line.split())
    return line if line.endswith((".", "!", "?", ",", ":", ";")) else line + "."
