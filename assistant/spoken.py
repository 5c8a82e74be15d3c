"""Durations as people say them, both ways. Pure.

Understands "five minutes", "an hour and a half", "1 hour and 20 mins", "half an hour", "two and a
half minutes", "three quarters of an hour", "ninety seconds".
"""

from __future__ import annotations

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * (value + 2) for value, word in enumerate(_TENS)
}
_UNITS = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "day": 86400}

_WORD = "|".join((*_ONES, *_TENS))
_NUMBER = rf"(?:\d+(?:\.\d+)?|(?:(?:{_WORD}|a|an|hundred|couple of|few)(?: and)?[ -]?)+)"
_UNIT = rf"(?:{'|'.join(_UNITS)})s?"
_HALF = r"(?: and a (?P<{0}>half|quarter))?"
_PART = (
    r"(?:(?P<fraction>half|a quarter|quarter|three quarters)(?: of)? (?:a|an) |"
    rf"(?P<number>{_NUMBER}){_HALF.format('before')}[ -]*)"
    rf"(?P<unit>{_UNIT})\b{_HALF.format('after')}"
)
_FRACTIONS = {"half": 0.5, "quarter": 0.25, "a quarter": 0.25, "three quarters": 0.75}

DURATION = re.compile(rf"{_PART}(?:,? (?:and )?{re.sub(r'[?]P<[a-z]+>', '?:', _PART)})*")
"""Matches a whole spoken duration inside a sentence."""


def seconds_of(text: str) -> float | None:
    """Seconds of a spoken duration; None where the text holds none, or more than one.

    Words around it must be spaced; a comma or "and" may join its parts.
    """
    text = " ".join(text.lower().replace("-", " ").split())
    found = DURATION.fullmatch(text)
    if not found:
        return None
    return sum(_seconds(part) for part in re.finditer(_PART, text))


def _seconds(part: re.Match[str]) -> float:
    unit = _UNITS[part["unit"].removesuffix("s")]
    if part["fraction"]:
        return _FRACTIONS[part["fraction"]] * unit
    extra = _FRACTIONS.get(part["before"] or part["after"] or "", 0.0)
    return (_number(part["number"]) + extra) * unit


def _number(text: str) -> float:
    if text[0].isdigit():
        return float(text)
    total = 0.0
    for word in text.split():
        if word == "hundred":
            total = max(total, 1.0) * 100
        elif word in ("a", "an"):
            total += 1 if text.strip() in ("a", "an") else 0
        else:
            total += {"couple": 2, "few": 3}.get(word, _VALUES.get(word, 0))
    return total


def duration(seconds: float) -> str:
    """Seconds as a person says them: "1 hour and 30 minutes". Rounded to whole seconds."""
    whole = round(seconds)
    parts = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count != 1 else ''}")
    if len(parts) > 1:
        return f"{', '.join(parts[:-1])} and {parts[-1]}"
    return parts[0] if parts else "0 seconds"
