"""Logs tell what happened and where, never what was said, heard or read."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant import log
from assistant.errors import NoSpeech
from models.scripted import ScriptedModel, ScriptedReader
from tests.world import World

SECRETS = ("xylophone", "zeppelin", "quagmire", "rhubarb")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    before = logging.root.handlers[:], logging.root.level
    log.begin("debug")
    yield written
    logging.root.handlers[:], level = before
    logging.root.setLevel(level)
    logging.getLogger("assistant").setLevel(logging.NOTSET)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def test_no_word_of_a_turn_is_logged(tmp_path: Path, logged: io.StringIO) -> None:
    heard, read, replied, named = SECRETS

    class Broken(ScriptedReader):
        async def read(self, frame: Any) -> Any:
            if len(world.heard()) > 3:
                raise ValueError(read)
            return await super().read(frame)

    model = ScriptedModel([[f"{replied} is the word."]])
    async with World(tmp_path, model=model, reader=Broken([read]), readers=(log.read,)) as world:
        await world.speak(f"tell me of the {heard}")
        await world.quiet()
        await world.look_and_say("what does this say")
        await world.quiet()
        world.say(f"set a {named} timer for one second")
        await world.wait(10)
        for text in (f"cancel the {named} timer", "read this"):
            await world.look_and_say(text)
            await world.quiet()
        await world.speak(heard, confidence=0.01)
        await world.quiet()
        said = " ".join(world.texts())
    assert all(word in said for word in (read, replied, named)), "the story must say the words"
    entries = lines(logged)
    assert {"started", "staged", "routed", "said", "ended", "failed"} <= {
        entry["what"] for entry in entries
    }
    assert [word for word in SECRETS if word in logged.getvalue()] == []


def test_an_error_is_logged_with_its_place_and_without_its_text(logged: io.StringIO) -> None:
    try:
        raise ValueError(SECRETS[0])
    except ValueError as error:
        logging.getLogger("assistant.daemon").error("task failed", exc_info=error)
    (entry,) = lines(logged)
    assert (entry["what"], entry["error"], entry["level"]) == ("task failed", "ValueError", "error")
    assert "test_log.py:" in entry["where"]
    assert SECRETS[0] not in logged.getvalue()


def test_what_a_library_says_is_only_placed(logged: io.StringIO) -> None:
    async def forgotten() -> None:
        async def fail() -> None:
            raise NoSpeech(SECRETS[0])

        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(forgotten())  # asyncio logs the task with its error's text
    logging.getLogger("some.engine").error("heard %s", SECRETS[1])
    assert len(lines(logged)) == 2
    assert [word for word in SECRETS if word in logged.getvalue()] == []


def test_libraries_speak_only_of_errors_and_we_from_the_level_on(logged: io.StringIO) -> None:
    logging.getLogger("some.engine").warning("chatter")
    logging.getLogger("assistant").debug("detail")
    assert [entry["what"] for entry in lines(logged)] == ["detail"]
