"""`assistant ask` and `assistant journal`, as processes: real sound and pictures in, words out."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assistant.turn import RATE
from hardware.recording import Resampler, decode
from tests.process import (
    SIGN,
    SIGN_QUESTION,
    TIME,
    TIMER,
    Daemon,
    Done,
    Place,
    children,
    is_speech,
    place,
    wait_until,
    wav,
)

CLOCK = r"It is \d{1,2}:\d\d [AP]M\."
SIGN_SAYS = "The picture says: RIVERSIDE PARK. Open 7 am to 9 pm. Dogs on a lead. No swimming."


@pytest.fixture
def here() -> Iterator[Place]:
    with place() as one:
        yield one


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One for all tests of this file that only need somebody who answers soon."""
    with place() as one, one.daemon() as running:
        yield running


def checked(done: Done) -> Done:
    assert done.status == 0, done.err
    assert "Traceback" not in done.out + done.err
    assert not done.errors
    return done


# ---- the three questions of the demonstration ----------------------------------------------------


def test_a_spoken_question_is_heard_answered_aloud_and_accounted_for(here: Place) -> None:
    reply = here.folder / "reply.wav"
    done = checked(here.ask("--audio", TIME, "--reply", reply))
    lines = done.out.splitlines()
    assert lines[0] == "heard: what time is it"
    assert re.fullmatch(f"reply: {CLOCK}", lines[1])
    names = [line[2:24].strip() for line in lines if re.search(r"\d ms", line)]
    assert names == [
        *("decode sound", "voice activity", "transcript", "reply", "understanding"),
        *("tool tell_time", "speech", "whole turn"),
    ]
    assert re.search(r"^  path: built-in: tell_time, confidence 0\.\d\d$", done.out, re.M)
    assert is_speech(reply, words=6)


def test_a_sign_is_read_aloud(here: Place) -> None:
    reply = here.folder / "reply.wav"
    done = checked(here.ask("--audio", SIGN_QUESTION, "--image", SIGN, "--reply", reply))
    assert done.out.splitlines()[:2] == ["heard: what does this sign say", f"reply: {SIGN_SAYS}"]
    assert re.search(r"^  path: built-in: read_text, 14 words, confidence 0\.\d\d$", done.out, re.M)
    assert is_speech(reply, words=17)


def test_a_timer_is_set_that_waits_for_the_daemon(here: Place) -> None:
    reply = here.folder / "reply.wav"
    done = checked(here.ask("--audio", TIMER, "--reply", reply))
    assert done.out.splitlines()[:2] == [
        "heard: set a timer for five minutes",
        "reply: A timer is set for 5 minutes. It rings only once the assistant runs:"
        " start scripts/run.",
    ]
    assert "path: built-in: set_timer, 300 seconds" in done.out
    (timer,) = here.rows("timers")
    assert (timer["seconds"], timer["state"]) == (300, "set")
    (turn,) = here.rows()
    assert timer["turn"] == turn["id"]
    assert is_speech(reply, words=14)


# ---- any usual recording -------------------------------------------------------------------------


FORMATS = {
    "mp3": ("mp3", "libmp3lame", "fltp", 44_100, 1),
    "ogg": ("ogg", "libopus", "flt", 48_000, 1),
    "m4a": ("mp4", "aac", "fltp", 44_100, 1),
    "8-bit-8-kHz": ("wav", "pcm_u8", "u8", 8_000, 1),
    "stereo-48-kHz": ("wav", "pcm_s16le", "s16", 48_000, 2),
    "24-bit": ("wav", "pcm_s24le", "s32", 96_000, 1),
    "float": ("wav", "pcm_f32le", "flt", 32_000, 1),
}


@pytest.mark.parametrize("name", FORMATS)
def test_any_usual_format_is_understood(name: str, daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "question"
    write(file, *FORMATS[name])
    done = checked(daemon.place.ask("--audio", file, "--json", "--quiet"))
    assert done.object["transcript"] == "set a timer for five minutes"


def write(path: Path, container: str, codec: str, form: str, rate: int, channels: int) -> None:
    """The timer's question in another format."""
    import av

    resampler = Resampler(RATE, rate)
    sound = decode(TIMER, 60).samples
    samples = np.concatenate([resampler.feed(sound), resampler.flush()])
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="stereo" if channels == 2 else "mono")
        size = stream.codec_context.frame_size or 1024
        packer = av.AudioResampler(form, stream.layout, rate, frame_size=size)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = rate
        for each in [*packer.resample(frame), *packer.resample(None)]:
            file.mux(stream.encode(each))
        file.mux(stream.encode(None))


# ---- for programs --------------------------------------------------------------------------------


def test_json_is_one_object_with_every_fact_of_the_turn(here: Place) -> None:
    reply = here.folder / "reply.wav"
    done = checked(here.ask("--audio", SIGN_QUESTION, "--image", SIGN, "--reply", reply, "--json"))
    assert len(done.out.splitlines()) == 1
    turn = done.object
    assert turn["transcript"] == "what does this sign say"
    assert turn["reply"] == SIGN_SAYS
    assert (turn["tier"], turn["tool"], turn["facts"]) == ("built-in", "read_text", {"words": 14})
    assert turn["path"] == f"built-in: read_text, 14 words, confidence {turn['confidence']:.2f}"
    assert turn["engines"] == {
        "hears": "pocketsphinx, biased",
        "reads": "rapidocr",
        "thinks": "phrase table",
        "speaks": "espeak-ng",
    }
    assert turn["origin"] == "command"
    assert (turn["error"], turn["interrupted"]) == (None, False)
    samples, rate = wav(reply)
    assert turn["heard_s"] == pytest.approx(len(samples) / rate, abs=0.01)
    for key in ("transcript_confidence", "confidence"):
        assert 0 < turn[key] <= 1
    check_times(turn)
    assert [stage["name"] for stage in turn["stages"]] == [
        *("decode sound", "voice activity", "transcript", "decode picture", "reply"),
        *("understanding", "tool read_text", "speech"),
    ]


def check_times(turn: dict[str, object]) -> None:
    """No stage outlasts its turn, and the turn is its engines, its devices and its overhead."""
    total, engines, overhead = (turn[f"{name}_ms"] for name in ("total", "engines", "overhead"))
    assert isinstance(total, float)
    assert isinstance(engines, float)
    assert isinstance(overhead, float)
    assert 0 < engines + overhead <= total + 0.1
    stages = turn["stages"]
    assert isinstance(stages, list)
    for stage in stages:
        assert 0 <= stage["start_ms"] <= stage["start_ms"] + stage["ms"] <= total + 0.1
        if stage["first_ms"] is not None:
            assert stage["start_ms"] <= stage["first_ms"] <= total
    walk = ("decode sound", "voice activity", "transcript", "decode picture", "reply")
    follow = [stage for stage in stages if stage["name"] in walk]
    for one, next_one in itertools.pairwise(follow):
        assert one["start_ms"] + one["ms"] <= next_one["start_ms"] + 0.1


def test_the_daemon_and_a_command_alone_account_alike(here: Place, daemon: Daemon) -> None:
    alone = checked(here.ask("--text", "what time is it", "--quiet", "--json")).object
    served = checked(daemon.place.ask("--text", "what time is it", "--quiet", "--json")).object
    assert alone.keys() == served.keys()
    shapes = [
        {key: type(value) for key, value in turn.items() if key != "reply"}
        for turn in (alone, served)
    ]
    assert shapes[0] == shapes[1]
    check_times(served)


# ---- typed, shown, and kept ----------------------------------------------------------------------


def test_a_typed_question_is_answered_and_kept_in_the_journal(here: Place) -> None:
    done = checked(here.ask("--text", "What's the time, please?"))
    assert re.match(f"reply: {CLOCK}", done.out)
    assert "heard:" not in done.out
    checked(here.ask("--text", "which timers are running", "--quiet"))

    shown = checked(here.run("journal")).out.splitlines()
    assert len(shown) == 2
    assert re.search(rf"ended +tell_time +What's the time, please\?  ->  {CLOCK}", shown[0])
    assert shown[1].endswith("which timers are running  ->  No timer is running.")

    (latest,) = json.loads(checked(here.run("journal", "-n", "1", "--json")).out)
    assert (latest["tool"], latest["state"], latest["origin"]) == (
        *("list_timers", "ended"),
        "command",
    )
    assert latest["stages"][0]["name"] == "reply"


def test_the_journal_before_the_first_turn_is_empty(here: Place) -> None:
    assert json.loads(checked(here.run("journal", "--json")).out) == []
    checked(here.run("journal"))
    assert not here.database.exists()


def test_a_picture_alone_is_read(daemon: Daemon) -> None:
    turn = checked(daemon.place.ask("--image", SIGN, "--quiet", "--json")).object
    assert (turn["tool"], turn["reply"]) == ("read_text", SIGN_SAYS)


def test_what_nobody_can_answer_is_said_so(daemon: Daemon) -> None:
    turn = checked(daemon.place.ask("--text", "who was the first pharaoh", "--quiet", "--json"))
    assert turn.object["tier"] == "none"
    assert turn.object["reply"].startswith("I cannot answer that yet.")


def test_the_words_are_shown_before_the_turn_is_over(here: Place) -> None:
    """The reply goes into a pipe that nobody reads yet, so the turn cannot end before its words
    were seen."""
    reply = here.folder / "reply.wav"
    os.mkfifo(reply)
    with here.begin("ask", "--audio", TIME, "--reply", reply) as process:
        assert process.stdout
        shown = b""
        while not re.search(rb"reply: It is \d+:\d\d [AP]M\.", shown):
            part = os.read(process.stdout.fileno(), 4096)
            assert part, shown
            shown += part
        assert shown.startswith(b"heard: what time is it\n")
        assert b" ms" not in shown
        with reply.open("rb") as pipe:
            assert pipe.read(4) == b"RIFF"
            pipe.read()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert "whole turn" in rest


def test_a_reader_that_leaves_early_does_no_harm(here: Place) -> None:
    """As with `assistant ask ... | head -1`, or with no standard output at all."""
    command = 'exec "$0" ask --quiet --text "what time is it"'
    for redirected in (f"( {command} ) | true", f"{command} >&-"):
        done = here.run(prefix=("sh", "-c", redirected))
        assert (done.status, done.err) == (0, "")
    assert [row["state"] for row in here.rows()] == ["ended", "ended"]


def test_no_words_of_the_turn_reach_the_log(here: Place) -> None:
    debug = {"ASSISTANT_LOG__LEVEL": "debug"}
    done = checked(here.ask("--audio", SIGN_QUESTION, "--image", SIGN, "--quiet", settings=debug))
    logged = [json.loads(line) for line in done.err.splitlines()]
    assert {"started", "asked", "routed", "said", "ended"} <= {line["what"] for line in logged}
    for word in ("sign", "riverside", "swimming", "picture says", "lead"):
        assert word not in done.err.lower()


# ---- together, and cut off -----------------------------------------------------------------------


def test_two_commands_at_once_wait_for_each_other(here: Place) -> None:
    with (
        here.begin("ask", "--text", "what time is it", "--quiet") as one,
        here.begin("ask", "--text", "what day is it today", "--quiet") as other,
    ):
        outs = [process.communicate()[0] for process in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0]
    assert re.match(f"reply: {CLOCK}", outs[0])
    assert re.match(r"reply: It is \w+day, ", outs[1])
    assert [row["state"] for row in here.rows()] == ["ended", "ended"]


def test_ctrl_c_ends_a_turn_at_once_and_closes_its_row(here: Place) -> None:
    with here.begin("ask", "--audio", TIME, "--quiet") as process:
        wait_until(lambda: here.rows() and children(process.pid), "the turn runs")
        engines = children(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    (row,) = here.rows()
    assert (row["state"], row["code"]) == ("ended", None)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in engines), "none is left")
    checked(here.ask("--text", "what time is it", "--quiet"))
    assert [row["state"] for row in here.rows()] == ["ended", "ended"]


def test_ctrl_c_ends_the_wait_for_another_command(here: Place) -> None:
    here.state.mkdir(parents=True)
    holder = ("flock", str(here.state / "lock"), "sleep", "600")
    with subprocess.Popen(holder) as other:
        try:
            wait_until(lambda: children_of(other.pid), "the lock is held")
            with here.begin("ask", "--text", "what time is it", "--quiet") as process:
                wait_until(lambda: b"eventpoll" in open_files(process.pid), "the command waits")
                process.send_signal(signal.SIGINT)
                _, err = process.communicate()
            assert (process.returncode, err) == (130, "")
        finally:
            for child in children_of(other.pid):
                os.kill(child, signal.SIGKILL)
    assert here.rows() == []


def test_a_turn_cut_off_by_a_crash_is_told_apart(here: Place) -> None:
    checked(here.ask("--text", "what time is it", "--quiet"))
    with here.begin("ask", "--audio", TIME, "--quiet") as process:
        wait_until(lambda: len(here.rows()) == 2, "the turn is in the journal")
        process.kill()
        process.communicate()
    checked(here.ask("--text", "what day is it today", "--quiet"))
    assert [row["state"] for row in here.rows()] == ["ended", "lost", "ended"]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_files(pid: int) -> bytes:
    """The paths of a process's open files, one after another."""
    paths = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            paths.append(os.fsencode(os.readlink(link)))
        except FileNotFoundError:
            continue  # closed meanwhile
    return b"\n".join(paths)
