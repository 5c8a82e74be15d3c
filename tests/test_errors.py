"""The tree of errors: its drawing is true, and each can be told apart by programs."""

from __future__ import annotations

import errno
import pickle
import re
from pathlib import Path

import pytest

from assistant import errors
from assistant.errors import AssistantError, Defect, leaves, of_code, of_os


def drawn() -> dict[str, tuple[str, str, int]]:
    """Class -> (its parent, code, status), from the docstring's tree."""
    found, above = {}, {-1: "AssistantError"}
    for line in (errors.__doc__ or "").splitlines():
        entry = re.match(r"([│├└─ ]+)(\w+)(?: +([\w-]+) (\d+))?", line)
        if entry and line[0] in "│├└":
            depth = len(entry[1]) // 4 - 1
            above[depth] = entry[2]
            found[entry[2]] = above[depth - 1], entry[3] or "error", int(entry[4] or 1)
    return found


def real(tree: type[AssistantError] = AssistantError) -> dict[str, tuple[str, str, int]]:
    found = {}
    for each in tree.__subclasses__():
        found[each.__name__] = tree.__name__, each.code, each.status
        found |= real(each)
    return found


def test_the_drawing_is_the_tree() -> None:
    assert list(drawn().items()) == list(real().items())


def test_codes_and_statuses_are_unique() -> None:
    every = leaves()
    assert len({leaf.code for leaf in every}) == len({leaf.status for leaf in every}) == len(every)
    assert all(2 <= leaf.status < 126 for leaf in every)


@pytest.mark.parametrize("leaf", leaves(), ids=lambda leaf: leaf.code)
def test_an_error_crosses_between_processes(leaf: type[AssistantError]) -> None:
    back = pickle.loads(pickle.dumps(leaf("It broke.", "Mend it.")))
    assert type(back) is leaf
    assert (back.sentence, back.mend, str(back)) == ("It broke.", "Mend it.", "It broke. Mend it.")
    assert of_code(leaf.code) is leaf


def test_an_unknown_code_is_a_defect() -> None:
    assert of_code("no-such-code") is Defect


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EFBIG, "disk-full"),
        (errno.EACCES, "not-permitted"),
        (errno.EROFS, "not-permitted"),
        (errno.EISDIR, "not-permitted"),
    ],
)
def test_what_the_system_says_becomes_a_sentence(number: int, code: str) -> None:
    error = of_os(OSError(number, "reason"), Path("/some/file"))
    assert error.code == code
    assert "/some/file" in error.sentence
    assert error.mend
