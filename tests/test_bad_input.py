"""Bad input, through the commands: each ends in one sentence with a code, the exit status of that
code, no traceback, and with every earlier turn still in the journal."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.errors import leaves
from assistant.turn import RATE, Sound
from hardware.recording import decode, write_wav
from tests.process import (
    HERE,
    SIGN,
    TIME,
    WITHOUT_ROOTS_RIGHTS,
    Daemon,
    Done,
    Place,
    place,
    request,
)

STATUS = {leaf.code: leaf.status for leaf in leaves()}
EARLIER = "what time is it"
ROOT = os.geteuid() == 0
AS_ANYBODY = WITHOUT_ROOTS_RIGHTS if ROOT else ()


@pytest.fixture(scope="module")
def begun() -> Iterator[Place]:
    """A place whose journal holds a turn."""
    with place() as one:
        done = one.ask("--text", EARLIER, "--quiet")
        assert done.status == 0, done.err
        yield one


@pytest.fixture
def here(begun: Place) -> Iterator[Place]:
    """A new place with that journal."""
    with place() as one:
        shutil.copytree(begun.state, one.state)
        yield one
        if one.database.parent.exists():
            assert one.rows()[0]["text"] == EARLIER, "an earlier turn is lost"


def refused(done: Done, code: str, *, as_json: bool = False) -> Done:
    """One sentence, in words and as an object, with the status of its code."""
    assert "Traceback" not in done.out + done.err
    assert (done.code, done.status) == (code, STATUS[code]), done.err
    (line,) = done.errors
    assert line.endswith((".", "?"))
    assert len(line) > len(f"error[{code}]: ") + 10
    if as_json:
        assert done.object["error"]["code"] == code
        sentence = done.object["error"]["sentence"].encode("utf-8", "backslashreplace").decode()
        assert sentence in line
    return done


# ---- sound and pictures --------------------------------------------------------------------------


def missing(folder: Path) -> Path:
    return folder / "nothing.wav"


def empty(folder: Path) -> Path:
    return written(folder, b"")


def truncated(folder: Path) -> Path:
    return written(folder, TIME.read_bytes()[:20_000])


def header_alone(folder: Path) -> Path:
    return written(folder, TIME.read_bytes()[:44])


def text_file(folder: Path) -> Path:
    return written(folder, b"This is a letter, and no sound.\n" * 40)


def garbage(folder: Path) -> Path:
    return written(folder, np.random.default_rng(1).bytes(50_000))


def a_folder(folder: Path) -> Path:
    return folder


def a_device(folder: Path) -> Path:
    return Path("/dev/zero")


def unreadable(folder: Path) -> Path:
    path = written(folder, TIME.read_bytes())
    path.chmod(0)
    return path


def ten_minutes(folder: Path) -> Path:
    speech = decode(TIME, 60).samples
    path = folder / "long.wav"
    write_wav(path, Sound(np.tile(speech, 600 * RATE // len(speech) + 1)))
    return path


def silence(folder: Path) -> Path:
    return HERE / "audio" / "silence.wav"


def noise(folder: Path) -> Path:
    return HERE / "audio" / "noise.wav"


def bad_name(folder: Path) -> Path:
    return folder / os.fsdecode(b"no-\xff-such.wav")


def sound(folder: Path) -> Path:
    return TIME


def cut_off_picture(folder: Path) -> Path:
    return written(folder, SIGN.read_bytes()[:30_000])


def hundred_megapixels(folder: Path) -> Path:
    from PIL import Image

    path = folder / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    return path


def written(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


Maker = Callable[[Path], Path]
SOUNDS: list[tuple[Maker, str]] = [
    (missing, "audio-missing"),
    (bad_name, "audio-missing"),
    (a_folder, "audio-missing"),
    (empty, "audio-empty"),
    (header_alone, "audio-unreadable"),
    (truncated, "audio-unreadable"),
    (text_file, "audio-unreadable"),
    (garbage, "audio-unreadable"),
    (a_device, "audio-unreadable"),
    (unreadable, "not-permitted"),
    (ten_minutes, "audio-too-long"),
    (silence, "no-speech"),
    (noise, "no-speech"),
]
PICTURES: list[tuple[Maker, str]] = [
    (missing, "picture-missing"),
    (a_folder, "picture-missing"),
    (empty, "picture-unreadable"),
    (sound, "picture-unreadable"),
    (cut_off_picture, "picture-unreadable"),
    (a_device, "picture-unreadable"),
    (unreadable, "not-permitted"),
    (hundred_megapixels, "picture-too-large"),
]


@pytest.mark.parametrize(("make", "code"), SOUNDS)
def test_sound_that_cannot_be_used(make: Maker, code: str, here: Place, tmp_path: Path) -> None:
    done = here.ask("--audio", make(tmp_path), "--quiet", "--json", prefix=AS_ANYBODY)
    refused(done, code, as_json=True)
    assert [row["code"] for row in here.rows()] == [None, code]


@pytest.mark.parametrize(("make", "code"), PICTURES)
def test_a_picture_that_cannot_be_used(make: Maker, code: str, here: Place, tmp_path: Path) -> None:
    done = here.ask("--image", make(tmp_path), "--quiet", "--json", prefix=AS_ANYBODY)
    refused(done, code, as_json=True)
    assert [row["code"] for row in here.rows()] == [None, code]


def test_without_json_the_object_is_not_printed(here: Place, tmp_path: Path) -> None:
    done = refused(here.ask("--audio", missing(tmp_path)), "audio-missing")
    assert done.out == ""


# ---- what was asked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask",),
        ("ask", "--text", ""),
        ("ask", "--text", EARLIER, "--audio", TIME),
        ("ask", "--no-such-option"),
        ("journal", "-n", "some"),
        ("no-such-command",),
        (),
    ],
)
def test_a_wrong_command_line(arguments: tuple[object, ...], here: Place) -> None:
    refused(here.run(*arguments, "--json"), "bad-usage", as_json=True)


@pytest.mark.parametrize(
    "text",
    ["tell me more " * 800, "\U0001f9d1\u200d\U0001f680 \U0001f44d?", "   ", "\u202e\x1b[2J\a"],
    ids=["10,000 characters", "emoji", "blank", "control characters"],
)
def test_odd_text_is_a_question_like_others(text: str, here: Place) -> None:
    done = here.ask("--text", text, "--quiet", "--json")
    assert (done.status, done.errors) == (0, []), done.err
    assert done.object["reply"].startswith("I cannot answer that yet.")
    assert here.rows()[-1]["text"] == text


def test_bytes_that_are_no_text_are_replaced(here: Place) -> None:
    done = here.ask("--text", os.fsdecode(b"what \xff"), "--quiet", "--json")
    assert done.object["transcript"] == here.rows()[-1]["text"] == "what ?"


@pytest.mark.parametrize("target", ["no/such/folder/r.wav", ".", "read-only/r.wav"])
def test_a_reply_that_cannot_be_written(target: str, here: Place) -> None:
    folder = here.folder / "out"
    (folder / "read-only").mkdir(parents=True)
    (folder / "read-only").chmod(0o555)
    done = here.ask("--text", EARLIER, "--reply", folder / target, "--json", prefix=AS_ANYBODY)
    refused(done, "not-permitted", as_json=True)
    assert done.object["reply"].startswith("It is ")
    assert [row["code"] for row in here.rows()] == [None, "not-permitted"]


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "code", "word"),
    [
        ("[listen]\nlongst = 20", "unknown-setting", "Did you mean listen.longest?"),
        ("[no-such-section]\nsetting = 1", "unknown-setting", "no-such-section"),
        ('[listen]\nlongest = "soon"', "wrong-setting", "listen.longest"),
        ("[speech]\nspeed = 100", "wrong-setting", "speech.speed"),
        ("look = 5", "wrong-setting", "look"),
        ("listen = 5  # of which the environment sets a part", "wrong-setting", "listen"),
        ('[engines]\nvoice = "parrot"', "wrong-setting", "engines.voice"),
        ("[listen\nlongest = 20", "unreadable-config", "not TOML"),
        ("\x00\x01\x02", "unreadable-config", "not TOML"),
    ],
)
def test_a_wrong_settings_file(toml: str, code: str, word: str, here: Place) -> None:
    here.set(toml)
    for command in (("ask", "--text", EARLIER, "--json"), ("config", "--json")):
        done = refused(here.run(*command), code, as_json=True)
        assert word in done.errors[0]
        assert str(here.settings) in done.errors[0]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ASSISTANT_LISTEN__LONGST", "20", "unknown-setting"),
        ("ASSISTANT_LOG", "debug", "wrong-setting"),
        ("ASSISTANT_SPEECH__SPEED", "fast", "wrong-setting"),
    ],
)
def test_a_wrong_setting_in_the_environment(name: str, value: str, code: str, here: Place) -> None:
    done = refused(here.ask("--text", EARLIER, settings={name: value}), code)
    assert name in done.errors[0]


def test_a_settings_file_that_was_named_must_be_there(here: Place) -> None:
    nowhere = str(here.folder / "nowhere.toml")
    done = refused(
        here.ask("--text", EARLIER, settings={"ASSISTANT_CONFIG": nowhere}), "unreadable-config"
    )
    assert nowhere in done.errors[0]


# ---- models --------------------------------------------------------------------------------------


def broken_whisper(models: Path) -> None:
    folder = models / "whisper" / "x"
    shutil.copytree(HERE / "standins" / "whisper", folder)
    (folder / "model.bin").write_bytes(b"garbage " * 1000)


def broken_chat(models: Path) -> None:
    (models / "chat").mkdir(parents=True)
    (models / "chat" / "x.gguf").write_bytes(b"GGUF" + b"garbage " * 1000)


def broken_voice(models: Path) -> None:
    (models / "voice").mkdir(parents=True)
    (models / "voice" / "x.onnx").write_bytes(b"garbage " * 1000)
    shutil.copy(HERE / "standins" / "voice" / "standin.onnx.json", models / "voice" / "x.onnx.json")


BROKEN: dict[str, tuple[Callable[[Path], None], tuple[object, ...]]] = {
    "whisper": (broken_whisper, ("--audio", TIME)),
    "chat": (broken_chat, ("--text", "tell me a joke")),
    "voice": (broken_voice, ("--text", EARLIER)),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_corrupt_model_is_named(kind: str, here: Place) -> None:
    break_it, question = BROKEN[kind]
    break_it(here.models)
    done = refused(here.ask(*question, "--quiet", "--json"), "model-damaged", as_json=True)
    assert str(here.models / kind / "x") in done.errors[0]


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("transcriber", "whisper"), ("language_model", "llama"), ("voice", "piper")],
)
def test_an_engine_that_was_chosen_needs_its_model(setting: str, kind: str, here: Place) -> None:
    here.set(f'[engines]\n{setting} = "{kind}"')
    refused(here.ask("--text", EARLIER, "--quiet", "--json"), "model-missing", as_json=True)


# ---- the disk ------------------------------------------------------------------------------------


def test_a_limit_on_the_size_of_files(here: Place) -> None:
    """The journal cannot grow, so the timer is not set, and that is said."""
    done = here.ask(
        "--text", "set a timer for five minutes", "--quiet", prefix=("prlimit", "--fsize=4096")
    )
    refused(done, "disk-full")
    assert here.rows("timers") == []


def test_a_full_disk(here: Place) -> None:
    """The state's folder is a small disk of its own, filled up after its first turn."""
    ask = f'"$0" ask --quiet --text "{EARLIER}"'
    script = (
        f"mount -t tmpfs -o size=256k none {here.state} || exit 200; {ask} || exit 201; "
        f"cat /dev/zero >{here.state}/filling 2>/dev/null; "
        f'{ask}; status=$?; rm {here.state}/filling; "$0" journal --json; exit $status'
    )
    done = here.run(prefix=("unshare", "-m", "sh", "-c", script))
    if done.status in (1, 200) and ("unshare" in done.err or "mount" in done.err):
        pytest.skip("no disk can be mounted here")
    refused(done, "disk-full")
    kept = json.loads(done.out[done.out.index("\n[") :])
    assert kept[0]["state"] == "ended"


def test_a_reply_on_a_full_disk(here: Place) -> None:
    done = here.ask("--text", EARLIER, "--reply", "/dev/full", "--json")
    refused(done, "disk-full", as_json=True)
    assert here.rows()[-1]["code"] == "disk-full"


@pytest.mark.parametrize("command", [("ask", "--text", EARLIER), ("run",)])
def test_a_state_folder_that_cannot_be_made(command: tuple[str, ...], here: Place) -> None:
    (here.folder / "file").touch()
    refused(
        here.run(*command, settings={"ASSISTANT_FOLDERS__STATE": str(here.folder / "file/state")}),
        "not-permitted",
    )


@pytest.mark.parametrize("what", ["folder", "database", "lock"])
def test_a_state_folder_that_may_not_be_written(what: str, here: Place) -> None:
    path = {"folder": here.state, "database": here.database, "lock": here.state / "lock"}[what]
    if what == "folder":
        for file in here.state.iterdir():
            file.unlink()
        path.chmod(0o555)
    else:
        path.chmod(0o444)
    done = here.ask("--text", EARLIER, "--quiet", "--json", prefix=AS_ANYBODY)
    refused(done, "not-permitted", as_json=True)
    path.chmod(0o755)
    if what == "folder":
        here.state.rmdir()  # it held nothing that could be lost


def test_a_runtime_folder_of_somebody_else(here: Place) -> None:
    (here.folder / "r").chmod(0)
    refused(here.ask("--text", EARLIER, "--quiet", prefix=AS_ANYBODY), "not-permitted")


# ---- the journal itself --------------------------------------------------------------------------


def test_a_damaged_journal_is_left_as_it_is(here: Place) -> None:
    kept = here.state.with_name("kept")
    shutil.copytree(here.state, kept)
    for file in here.state.glob("assistant.db*"):
        file.unlink()
    damage = np.random.default_rng(2).bytes(30_000)
    here.database.write_bytes(damage)
    for command in (("ask", "--text", EARLIER, "--quiet", "--json"), ("journal", "--json")):
        refused(here.run(*command), "store-damaged", as_json=True)
    refused(here.run("run"), "store-damaged")
    assert here.database.read_bytes() == damage
    shutil.rmtree(here.state)
    kept.rename(here.state)


def test_a_journal_of_a_newer_version_is_left_as_it_is(here: Place) -> None:
    with closing(sqlite3.connect(here.database)) as db:
        db.execute("PRAGMA user_version = 1000")
    refused(here.ask("--text", EARLIER, "--quiet", "--json"), "store-too-new", as_json=True)
    refused(here.run("run"), "store-too-new")


# ---- the daemon ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with place() as one, one.daemon() as running:
        yield running


def test_a_second_daemon(daemon: Daemon) -> None:
    refused(daemon.place.run("run"), "daemon-running")
    daemon.place.socket.rename(daemon.place.socket.with_suffix(".away"))
    try:  # without its socket it is known by its lock
        refused(daemon.place.run("run"), "daemon-running")
    finally:
        daemon.place.socket.with_suffix(".away").rename(daemon.place.socket)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\x00\xfe\x01\n",
        b"what time is it\n",
        b"{}\n",
        b"[]\n",
        b'{"ask": []}\n',
        b'{"ask": {"text": 5}}\n',
        b'{"ask": {"audio": ["/a"]}}\n',
        b'{"ask": {"audio": "relative.wav"}}\n',
        b'{"ask": {"text": "what time is it", "reply": "r.wav"}}\n',
        b"[" * 200_000 + b"\n",
        b"x" * 3_000_000 + b"\n",
        b'{"ask": {"text": "\\ud800',
    ],
    ids=range(12),
)
def test_the_daemon_survives_garbage(line: bytes, daemon: Daemon) -> None:
    if not line.endswith(b"\n"):
        line += b'"}\n'
    (answer,) = request(daemon.place.socket, line)
    assert (answer["event"], answer["code"]) == ("Failed", "bad-request")
    assert answer["sentence"].endswith(".")
    check_alive(daemon)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"audio": "/no\0such.wav"}, "bad-request"),
        ({"image": "/" + "x" * 5000}, "picture-missing"),
        ({"audio": "/no-\udcff.wav"}, "audio-missing"),
        ({"text": "\ud800 what\0 is this"}, None),
        ({"text": EARLIER, "reply": "/no\0such.wav", "quiet": True}, "bad-request"),
        ({"text": EARLIER, "reply": "/", "quiet": True}, "not-permitted"),
        ({}, "bad-request"),
    ],
)
def test_the_daemon_survives_odd_requests(
    asked: dict[str, Any], code: str | None, daemon: Daemon
) -> None:
    line = json.dumps({"ask": {"quiet": True, **asked}}).encode() + b"\n"
    *_, last = request(daemon.place.socket, line)
    assert last["event"] == ("Failed" if code else "Ended"), last
    assert last.get("code") == code
    check_alive(daemon)


def test_a_fault_in_the_daemon_is_the_commands_fault(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.place.ask("--audio", missing(tmp_path), "--json")
    refused(done, "audio-missing", as_json=True)
    assert "Traceback" not in daemon.text


def check_alive(daemon: Daemon) -> None:
    """It answers, and writes its journal: nothing that reads its events has died."""
    *_, last = request(
        daemon.place.socket, b'{"ask": {"text": "what time is it", "quiet": true}}\n'
    )
    assert last["event"] == "Ended"
    done = daemon.place.run("journal", "-n", "1", "--json")
    (row,) = json.loads(done.out)
    assert (row["id"], row["state"]) == (last["turn"], "ended")
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.text
