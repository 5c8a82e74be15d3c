"""The engines people choose, through the commands, on small models that know some things by heart.

tests/standins/README.md says how they were made and what they know.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import (
    HERE,
    TIME,
    Daemon,
    Place,
    children,
    is_speech,
    place,
    wait_until,
    wav,
)

STANDINS = HERE / "standins"
DIALOGUES = HERE.parent / "scripts" / "standins" / "dialogues.toml"
WANTED = ("whisper", "chat/standin.gguf", "voice/standin.onnx", "voice/standin.onnx.json")


@pytest.fixture(scope="module", autouse=True)
def _they_are_there() -> None:
    missing = [name for name in WANTED if not (STANDINS / name).exists()]
    assert not missing, f"not in tests/standins: {', '.join(missing)}"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One for all: the engines are loaded once. Tests that kill one leave it started anew."""
    with place(ASSISTANT_LOG__LEVEL="info") as one:
        install(one)
        with one.daemon() as running:
            yield running


@pytest.fixture
def here() -> Iterator[Place]:
    with place() as one:
        install(one)
        yield one


def install(one: Place) -> None:
    """Puts the stand-ins where a person puts models."""
    for kind in ("chat", "voice"):
        (one.models / kind).mkdir(parents=True)
        for file in (STANDINS / kind).glob("standin.*"):
            (one.models / kind / file.name).symlink_to(file)
    (one.models / "whisper").mkdir()
    (one.models / "whisper" / "standin").symlink_to(STANDINS / "whisper")


def known(question: str) -> str:
    """What the chat stand-in learned to reply, from the file that it learned from."""
    dialogues = tomllib.loads(DIALOGUES.read_text())["dialogue"]
    firsts = {dialogue["turns"][0]["user"]: dialogue["turns"][0] for dialogue in dialogues}
    return str(firsts[question]["reply"])


def spoken(words: str, folder: Path) -> Path:
    """A flite voice saying them: one of the voices that the recogniser stand-in knows."""
    path = folder / "question.wav"
    subprocess.run(("flite", "-voice", "slt", "-t", words, "-o", str(path)), check=True)
    return path


def test_a_command_alone_uses_the_models_that_are_there(here: Place) -> None:
    """Whisper hears, llama.cpp answers word for word, Piper speaks."""
    here.set("[engines]\ntranscriber = 'whisper'\nlanguage_model = 'llama'\nvoice = 'piper'")
    reply = here.folder / "reply.wav"
    done = here.ask("--text", "tell me a joke", "--reply", reply, "--json")
    assert done.status == 0, done.err
    assert done.object["reply"] == known("tell me a joke")
    assert done.object["tier"] == done.object["path"] == "model standin"
    assert done.object["engines"] == {
        "hears": "whisper standin",
        "reads": "rapidocr",
        "thinks": "phrase table, standin",
        "speaks": "piper standin",
    }
    assert wav(reply)[1] == 16_000
    assert is_speech(reply, words=len(known("tell me a joke").split()))
    (row,) = here.rows()
    assert (row["tier"], row["reply"]) == ("model standin", known("tell me a joke"))


def test_whisper_hears(daemon: Daemon) -> None:
    turn = daemon.place.ask("--audio", TIME, "--quiet", "--json").object
    assert turn["transcript"] == "what time is it"
    (stage,) = [stage for stage in turn["stages"] if stage["name"] == "transcript"]
    assert stage["engine"] == "whisper standin"
    assert turn["tier"] == "built-in"  # an everyday phrase needs no model


@pytest.mark.parametrize(
    "question", ["tell me a joke", "what is the capital of france", "tell me a story"]
)
def test_the_model_answers_word_for_word(question: str, daemon: Daemon) -> None:
    done = daemon.place.ask("--text", question, "--quiet")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == f"reply: {known(question)}"
    assert "  path: model standin" in done.out


def test_the_model_calls_a_tool_and_the_receipt_is_told(daemon: Daemon) -> None:
    here = daemon.place
    question = "could you time my eggs for seven minutes please"
    turn = here.ask("--text", question, "--quiet", "--json").object
    assert (turn["tier"], turn["tool"]) == ("model standin", "set_timer")
    assert turn["facts"] == {"seconds": 420}
    assert turn["reply"] == "The eggs timer is set for 7 minutes."
    (timer,) = here.rows("timers")
    assert (timer["name"], timer["seconds"], timer["state"]) == ("eggs", 420, "set")
    assert timer["turn"] == turn["turn"]
    assert "tool set_timer" in [stage["name"] for stage in turn["stages"]]


def test_piper_speaks(daemon: Daemon) -> None:
    here, reply = daemon.place, daemon.place.folder / "reply.wav"
    turn = here.ask("--text", "tell me a story", "--reply", reply, "--json").object
    (stage,) = [stage for stage in turn["stages"] if stage["name"] == "speech"]
    assert stage["engine"] == "piper standin"
    samples, rate = wav(reply)
    assert rate == 16_000
    assert turn["heard_s"] == pytest.approx(len(samples) / rate, abs=0.01)
    assert is_speech(reply, words=len(known("tell me a story").split()))


def test_a_whole_turn_by_voice(daemon: Daemon, tmp_path: Path) -> None:
    """Heard by Whisper, answered by llama.cpp, spoken by Piper."""
    reply = tmp_path / "reply.wav"
    question = spoken("tell me a joke", tmp_path)
    turn = daemon.place.ask("--audio", question, "--reply", reply, "--json").object
    assert (turn["transcript"], turn["reply"]) == ("tell me a joke", known("tell me a joke"))
    assert is_speech(reply, words=len(known("tell me a joke").split()))


# ---- engines that die in the middle of a turn ----------------------------------------------------


def test_when_the_language_model_dies_the_turn_says_so(daemon: Daemon) -> None:
    here = daemon.place
    assert here.ask("--text", "tell me a joke", "--quiet").status == 0
    done_before = len(here.rows())
    engine = the_one(daemon, "llama")
    os.kill(engine, signal.SIGSTOP)  # so that it is surely at work when it dies
    with here.begin("ask", "--text", "tell me a joke", "--quiet", "--json") as process:
        wait_until(lambda: len(here.rows()) > done_before, "the turn runs")
        wait_until(lambda: last_stage(daemon) == "understanding", "the model is asked")
        os.kill(engine, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 42
    assert json.loads(out)["error"]["code"] == "engine-died"
    assert re.fullmatch(r"error\[engine-died\]: The engine llama stopped .*\.\n", err)
    assert here.rows()[-1]["code"] == "engine-died"
    assert here.ask("--text", "tell me a joke", "--json").object["reply"] == known("tell me a joke")


def test_when_whisper_dies_the_built_in_engine_hears(daemon: Daemon) -> None:
    here = daemon.place
    assert here.ask("--audio", TIME, "--quiet").status == 0
    done_before, engine = len(here.rows()), the_one(daemon, "whisper")
    os.kill(engine, signal.SIGSTOP)
    with here.begin("ask", "--audio", TIME, "--quiet", "--json") as process:
        wait_until(lambda: len(here.rows()) > done_before, "the turn runs")
        wait_until(lambda: last_stage(daemon) == "voice activity", "it is being heard")
        os.kill(engine, signal.SIGKILL)
        out, _ = process.communicate()
    assert (process.returncode, json.loads(out)["transcript"]) == (0, "what time is it")
    again = here.ask("--audio", TIME, "--quiet", "--json").object
    assert again["transcript"] == "what time is it"
    assert the_one(daemon, "whisper") != engine


def test_when_piper_dies_espeak_speaks(daemon: Daemon) -> None:
    here, reply = daemon.place, daemon.place.folder / "reply.wav"
    assert here.ask("--text", "tell me a joke", "--reply", reply).status == 0
    done_before, engine = len(here.rows()), the_one(daemon, "piper")
    os.kill(engine, signal.SIGSTOP)
    with here.begin("ask", "--text", "what time is it", "--reply", reply) as process:
        wait_until(lambda: len(here.rows()) > done_before, "the turn runs")
        os.kill(engine, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert re.match(r"reply: It is \d+:\d\d [AP]M\.\n", out)
    assert wav(reply)[1] == 22_050  # espeak-ng's rate, not the stand-in's
    assert is_speech(reply, words=6)


def the_one(daemon: Daemon, name: str) -> int:
    """The process of an engine, told by the library that it has loaded."""
    library = {"llama": "libllama", "whisper": "ctranslate2", "piper": "onnxruntime"}[name]
    found = [
        pid
        for pid in children(daemon.process.pid)
        if library in Path(f"/proc/{pid}/maps").read_text()
        and (name != "piper" or "ctranslate2" not in Path(f"/proc/{pid}/maps").read_text())
    ]
    assert len(found) == 1, found
    return found[0]


def last_stage(daemon: Daemon) -> str:
    """The stage that the daemon's log told of last."""
    told = [json.loads(line) for line in daemon.lines if line.startswith("{")]
    stages = [line["name"] for line in told if line["what"] == "staged"]
    return str(stages[-1]) if stages else ""
