"""`assistant run` as a process without any sound device: its life, and what may befall it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import time
from collections.abc import Iterator

import pytest

from tests.process import (
    SIGN,
    TIME,
    Daemon,
    Place,
    alive,
    children,
    is_speech,
    place,
    wait_until,
)

CLOCK = r"It is \d{1,2}:\d\d [AP]M\."


@pytest.fixture
def here() -> Iterator[Place]:
    with place() as one:
        yield one


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """For tests that leave it as it was."""
    with place(ASSISTANT_LOG__LEVEL="info") as one, one.daemon() as running:
        yield running


def test_it_says_what_is_missing_and_goes_on(daemon: Daemon) -> None:
    assert daemon.wait_for(r"^! There is no loudspeaker.* Replies are shown only\.$")
    assert daemon.wait_for(r"^! There is no microphone.* Type your questions\.$")
    assert daemon.wait_for("^assistant hears with pocketsphinx, biased, .* speaks with espeak-ng$")
    said = len(daemon.lines)
    daemon.type("")
    daemon.wait_for(r"^! There is no microphone: type instead\.$", said)


def test_a_typed_line_is_answered(daemon: Daemon) -> None:
    said = len(daemon.lines)
    daemon.type("what time is it")
    daemon.wait_for(f"^reply: {CLOCK}", said)
    daemon.wait_for("path: built-in: tell_time", said)
    daemon.type("who was the first pharaoh")
    daemon.wait_for("^reply: I cannot answer that yet", said)
    wait_until(lambda: [row["origin"] for row in daemon.place.rows()][-2:] == ["typed"] * 2, "kept")


def test_commands_are_served_by_the_daemon(daemon: Daemon) -> None:
    said, reply = len(daemon.lines), daemon.place.folder / "reply.wav"
    done = daemon.place.ask("--audio", TIME, "--reply", "reply.wav")
    assert done.status == 0, done.err
    assert re.match(rf"heard: what time is it\nreply: {CLOCK}\n", done.out)
    assert "whole turn" in done.out
    assert is_speech(reply, words=6)
    daemon.wait_for("^heard: what time is it$", said)  # it was the daemon that heard
    done = daemon.place.ask("--image", SIGN, "--quiet", "--json")
    assert done.object["facts"] == {"words": 14}


def test_only_its_user_may_use_the_socket(daemon: Daemon) -> None:
    mode = daemon.place.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(daemon.place.database.stat().st_mode) == 0o600


def test_a_timer_rings(daemon: Daemon) -> None:
    said = len(daemon.lines)
    done = daemon.place.ask("--text", "set a tea timer for two seconds", "--quiet")
    assert done.out.startswith("reply: The tea timer is set for 2 seconds.\n")
    daemon.wait_for(r"^reply: Your tea timer of 2 seconds is done\.", said)
    (timer,) = [each for each in daemon.place.rows("timers") if each["name"] == "tea"]
    assert timer["state"] == "fired"
    wait_until(
        lambda: (
            [(row["origin"], row["tier"]) for row in daemon.place.rows()][-1]
            == ("schedule", "schedule")
        ),
        "the announcement is in the journal",
    )


def test_the_death_of_an_engine_is_the_death_of_one_turn(daemon: Daemon) -> None:
    """The recogniser is stopped, so that it is surely at work when it dies."""
    here = daemon.place
    assert here.ask("--audio", TIME, "--quiet").status == 0
    engines = children(daemon.process.pid)
    assert engines
    for engine in engines:
        os.kill(engine, signal.SIGSTOP)
    with here.begin("ask", "--audio", TIME, "--quiet", "--json") as process:
        wait_until(lambda: here.rows()[-1]["state"] == "started", "the turn runs")
        wait_until(lambda: stages(daemon).count("voice activity") >= 2, "it is being heard")
        for engine in engines:
            os.kill(engine, signal.SIGKILL)
        out, err = process.communicate()
    assert (process.returncode, json.loads(out)["error"]["code"]) == (42, "engine-died")
    assert err.startswith("error[engine-died]: The engine sphinx stopped in the middle")
    again = here.ask("--audio", TIME, "--quiet", "--json")
    assert again.object["transcript"] == "what time is it"
    assert here.rows()[-2]["code"] == "engine-died"


def stages(daemon: Daemon) -> list[str]:
    """Names of the stages that the daemon's log tells of, at log level info."""
    told = [json.loads(line) for line in daemon.lines if line.startswith("{")]
    return [line["name"] for line in told if line["what"] == "staged"]


# ---- its end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(how: signal.Signals, here: Place) -> None:
    with here.daemon() as daemon:
        assert here.ask("--audio", TIME, "--quiet").status == 0
        engines = children(daemon.process.pid)
        assert engines
        assert daemon.stop(how) == 0
        assert daemon.lines[-1] == "stopped"
        assert "Traceback" not in daemon.text
    assert not here.socket.exists()
    wait_until(lambda: not any(map(alive, engines)), "its engines are gone")
    assert {row["state"] for row in here.rows()} == {"ended"}


def test_a_stop_ends_the_turn_that_runs(here: Place) -> None:
    """The recogniser is stopped: the turn could not end by itself."""
    with here.daemon() as daemon:
        assert here.ask("--audio", TIME, "--quiet").status == 0
        for engine in children(daemon.process.pid):
            os.kill(engine, signal.SIGSTOP)
        with here.begin("ask", "--audio", TIME, "--quiet") as process:
            wait_until(lambda: here.rows()[-1]["state"] == "started", "the turn runs")
            assert daemon.stop() == 0
            _, err = process.communicate()
        assert process.returncode in (0, 61), err
        assert "Traceback" not in err + daemon.text
    assert [row["state"] for row in here.rows()] == ["ended", "ended"]


def test_after_a_crash_it_starts_again_and_rings_what_was_missed(here: Place) -> None:
    with here.daemon() as daemon:
        assert here.ask("--text", "set a timer for one hour", "--quiet").status == 0
        assert here.ask("--text", "set a tea timer for eight seconds", "--quiet").status == 0
        daemon.stop(signal.SIGKILL)
    set_at = time.monotonic()
    assert here.socket.exists()  # it had no time to tidy up
    states = {timer["name"]: timer["state"] for timer in here.rows("timers")}
    assert states == {"": "set", "tea": "set"}
    done = here.ask("--text", "which timers are running", "--quiet")  # alone, at once
    assert "The 1 hour timer has" in done.out
    wait_until(lambda: time.monotonic() > set_at + 14, "the tea timer is overdue by five seconds")
    with here.daemon() as daemon:
        daemon.wait_for(
            r"^reply: Your tea timer of 8 seconds is done\. It was due \d+ seconds ago\."
        )
        done = here.ask("--text", "which timers are running", "--quiet")
        assert "1 hour timer has" in done.out
        assert "tea" not in done.out


def test_the_end_of_typing_is_not_the_end_of_service(here: Place) -> None:
    with here.daemon() as daemon:
        assert daemon.process.stdin
        daemon.process.stdin.close()
        assert here.ask("--text", "what time is it", "--quiet").status == 0
        assert daemon.process.poll() is None
        assert daemon.stop() == 0


@pytest.mark.parametrize("stdin", ["</dev/null", "<&-", "<questions"])
def test_any_standard_input_will_do(stdin: str, here: Place) -> None:
    """As a service has none, and as a script gives a file."""
    (here.folder / "questions").write_text("what day is it today\n")
    with here.begin("run", prefix=("sh", "-c", f'exec "$0" "$@" {stdin}')) as process:
        wait_until(here.socket.exists, "the daemon listens")
        assert here.ask("--text", "what time is it", "--quiet").status == 0
        if stdin == "<questions":
            wait_until(lambda: len(here.rows()) == 2, "the file's line was answered")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert process.returncode == 0
    assert out.endswith("stopped\n")
    assert '"error"' not in err


# ---- turns that end others -----------------------------------------------------------------------


def test_a_command_that_is_killed_ends_its_turn(here: Place) -> None:
    with here.daemon() as daemon:
        assert here.ask("--audio", TIME, "--quiet").status == 0
        engines = children(daemon.process.pid)
        for engine in engines:
            os.kill(engine, signal.SIGSTOP)
        with here.begin("ask", "--audio", TIME, "--quiet") as process:
            wait_until(lambda: here.rows()[-1]["state"] == "started", "the turn runs")
            process.kill()
            process.communicate()
        wait_until(lambda: here.rows()[-1]["state"] == "ended", "its turn is ended")
        for engine in engines:
            os.kill(engine, signal.SIGCONT)
        assert here.ask("--audio", TIME, "--quiet", "--json").object["transcript"]
        assert len(here.rows()) == 3


def test_a_new_line_interrupts_the_turn_before(here: Place) -> None:
    """The recogniser is stopped: the first turn could not end by itself."""
    with here.daemon() as daemon:
        assert here.ask("--audio", TIME, "--quiet").status == 0
        for engine in children(daemon.process.pid):
            os.kill(engine, signal.SIGSTOP)
        with here.begin("ask", "--audio", TIME, "--quiet", "--json") as process:
            wait_until(lambda: here.rows()[-1]["state"] == "started", "the turn runs")
            daemon.type("what day is it today")
            daemon.wait_for(r"^reply: It is \w+day, ")
            out, err = process.communicate()
        assert process.returncode == 0, err
        assert json.loads(out)["interrupted"]
        daemon.wait_for(r"^\(interrupted after 0\.0 s of sound\)$")
        assert daemon.stop() == 0


# ---- what is broken from the start ---------------------------------------------------------------


def test_a_corrupt_model_leaves_the_built_in_engine(here: Place) -> None:
    (here.models / "whisper" / "broken").mkdir(parents=True)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.json"):
        (here.models / "whisper" / "broken" / name).write_bytes(b"garbage")
    (here.models / "voice").mkdir()
    (here.models / "voice" / "broken.onnx").write_bytes(b"garbage")
    with here.daemon() as daemon:
        spared = r"The built-in engine serves instead\.$"
        assert "model.bin is damaged" in daemon.wait_for(f"^! The Whisper model.*{spared}")
        assert "broken.onnx.json is missing" in daemon.wait_for(f"^! The voice.*{spared}")
        daemon.wait_for("^assistant hears with pocketsphinx, biased, .* speaks with espeak-ng$")
        done = here.ask("--audio", TIME, "--quiet", "--json")
        assert done.object["transcript"] == "what time is it"


def test_a_journal_that_cannot_grow_is_told_and_survived(here: Place) -> None:
    limit = ("prlimit", "--fsize=65536")
    assert here.ask("--text", "what time is it", "--quiet").status == 0
    long = "what time is it " + "please " * 2000
    with here.begin("run", prefix=limit) as process:
        wait_until(here.socket.exists, "the daemon listens")
        for _ in range(5):  # each adds 14 kB to the write-ahead log
            done = here.ask("--text", long, "--quiet", "--json")
            assert done.status == 0, done.err
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert re.search("^! .*(disk is full|no space)", out, re.M)
    assert here.rows()[0]["state"] == "ended"


def test_only_the_assistants_own_files_are_left(here: Place) -> None:
    """No library leaves a cache, or the identity of the device, as ONNX Runtime does untold."""
    with here.daemon() as daemon:
        assert here.ask("--audio", TIME, "--image", SIGN, "--quiet").status == 0
        assert here.ask("--image", SIGN, "--quiet").status == 0
        assert daemon.stop() == 0
    left = {path.name for path in here.folder.rglob("*") if path.is_file()}
    assert left <= {"assistant.db", "assistant.db-wal", "assistant.db-shm", "lock"}
