"""What a person at a real terminal sees: the daemon runs on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess

from tests.process import COMMAND, PATIENCE, Place, place


def test_nothing_that_was_said_is_erased() -> None:
    """Light and words share the terminal: a reply stays in sight, whole and on one line."""
    with place() as here:
        seen, status = _talk(here)
    assert re.search(r"^reply: I can tell .* this sign say\?\r?$", seen, re.MULTILINE)
    assert "\x1b[2K" not in seen
    assert status == 0


def _talk(here: Place) -> tuple[str, int]:
    """What the terminal showed until one question was answered, and the exit status."""
    ours, theirs = pty.openpty()
    daemon = subprocess.Popen(
        [COMMAND, "run"], stdin=theirs, stdout=theirs, stderr=theirs, env=here.environment
    )
    os.close(theirs)
    try:
        seen = _until(ours, "Ready.")
        os.write(ours, b"what can you do\n")
        seen += _until(ours, "path: built-in")
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        os.close(ours)
    return seen, daemon.returncode


def _until(terminal: int, text: str) -> str:
    seen = b""
    while text.encode() not in seen:
        seen += os.read(terminal, 4096)
    return seen.decode()
