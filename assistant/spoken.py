"""Durations as people say them, both ways. Pure.

Understands "five minutes", "an hour and a half", "1 hour and 20 mins", "half an hour", "two and a
half minutes", "three quarters of an hour", "ninety seconds".
"""

from __future__ import annotations

import re

_ONES = "one two three four five six seven eight nine".split()
_TEENS = (
    "zero ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = (
    {word: value for value, word in enumerate(_ONES, 1)}
    | {"zero": 0}
    | {word: value for value, word in enumerate(_TEENS[1:], 10)}
    | {word: 10 * value for value, word in enumerate(_TENS, 2)}
    | {"couple": 2, "few": 3}
)
_UNITS = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "day": 86400}

_ONE, _TEEN, _TEN = "|".join(_ONES), "|".join(_TEENS), "|".join(_TENS)
_SMALL = rf"(?:(?:{_TEN})(?: (?:{_ONE}))?|{_TEEN}|{_ONE})"
_NUMBER = (
    rf"(?:\d+(?:\.\d+)?|(?:an?|{_ONE}) hundred(?:(?: and)? {_SMALL})?|{_SMALL}"
    r"|(?:a )?(?:couple|few)(?: of)?|an?)"
)
_UNIT = rf"(?:{'|'.join(_UNITS)})s?"
_HALF = r"(?: and a (?P<{0}>half|quarter))?"
_PART = (
    r"(?:(?:a )?(?P<fraction>half|quarter|three quarters)(?: of)?(?: an?)? |"
    rf"(?P<number>{_NUMBER}){_HALF.format('before')} ?)"
    rf"(?P<unit>{_UNIT})\b{_HALF.format('after')}"
)
_FRACTIONS = {"half": 0.5, "quarter": 0.25, "three quarters": 0.75}

# No two ways to read a text: a pattern with a choice in a repetition takes exponential time.
DURATION = re.compile(rf"{_PART}(?:,? (?:and )?{re.sub(r'[?]P<[a-z]+>', '?:', _PART)})*")
"""Matches a whole spoken duration inside a sentence whose words are parted by single spaces."""


def seconds_of(text: str) -> float | None:
    """Seconds of a spoken duration; None where the text is none, or more than one.

    A comma or "and" may join its parts, each of a smaller unit than the one before.
    """
    text = " ".join(re.sub(r"(?<=\w)-(?=\w)", " ", text.lower()).split())
    found = DURATION.fullmatch(text)
    if not found:
        return None
    parts = list(re.finditer(_PART, text))
    units = [_unit(part) for part in parts]
    if units != sorted(set(units), reverse=True):
        return None  # "five minutes ten minutes": a correction, or two of them
    return sum(_seconds(part) for part in parts)


def _unit(part: re.Match[str]) -> int:
    return _UNITS[part["unit"].removesuffix("s")]


def _seconds(part: re.Match[str]) -> float:
    unit = _unit(part)
    if part["fraction"]:
        return _FRACTIONS[part["fraction"]] * unit
    extra = _FRACTIONS.get(part["before"] or part["after"] or "", 0.0)
    return (_number(part["number"]) + extra) * unit


def _number(text: str) -> float:
    if text[0].isdigit():
        return float(text)
    if text in ("a", "an"):
        return 1.0
    total = 0.0
    for word in text.split():
        total = max(total, 1.0) * 100 if word == "hundred" else total + _VALUES.get(word, 0)
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
