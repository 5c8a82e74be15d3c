"""The daemon with a microphone and a loudspeaker: talk to it, hear it, silence it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from assistant.turn import Sound
from tests.process import TIME, Daemon, Place, children, place, wait_until
from tests.sound_server import SoundServer, sound_server

__all__ = ["sound_server"]
HELP = "what can you do"
"""Its answer takes about ten seconds to speak."""


@pytest.fixture
def here(sound_server: SoundServer) -> Iterator[Place]:
    """A place whose default devices are the private sound server's."""
    names = ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "PULSE_SOURCE")
    sounding = {name: sound_server.environment[name] for name in names}
    device = {"ASSISTANT_SPEECH__DEVICE": "", "ASSISTANT_LISTEN__DEVICE": ""}
    with place(**sounding, **device) as one:
        (one.folder / ".asoundrc").write_text("pcm.!default { type pulse }\n")
        yield one


def loud(sound: Sound) -> float:
    """Seconds in which something sounds, in steps of 20 ms."""
    step = sound.rate // 50
    frames = sound.samples[: len(sound.samples) // step * step].reshape(-1, step)
    return float((np.abs(frames).max(axis=1) > 0.01).sum() / 50)


def ended(daemon: Daemon, after: int) -> None:
    daemon.wait_for("  path: ", after)


def test_a_question_is_heard_and_answered_aloud(here: Place, sound_server: SoundServer) -> None:
    heard: list[Sound] = []
    with here.daemon(ready="Press Enter to talk") as daemon:
        assert sound_server.listeners() == 0
        daemon.type("")
        daemon.wait_for("^● recording$")
        wait_until(lambda: sound_server.listeners() == 1, "the microphone is open")
        with sound_server.record(heard):
            sound_server.speak(TIME)
            daemon.type("")
            daemon.wait_for("^heard: what time is it$")
            assert sound_server.listeners() == 0
            daemon.wait_for(r"^reply: It is \d+:\d\d [AP]M\.$")
            ended(daemon, 0)
        lit, heard_line = (
            daemon.lines.index(line) for line in ("● recording", "heard: what time is it")
        )
        assert lit < daemon.lines.index("○ not recording") < heard_line
        assert daemon.lines.count("● recording") == 1
        assert daemon.stop() == 0
    assert loud(heard[0]) > 0.7
    (row,) = here.rows()
    assert (row["origin"], row["state"], row["tool"]) == ("spoken", "ended", "tell_time")


def test_the_light_is_on_before_the_microphone_opens(
    here: Place, sound_server: SoundServer
) -> None:
    """The sound server hangs: no microphone can be opened, yet the light is seen; then not."""
    with here.daemon(ready="Press Enter to talk") as daemon:
        sound_server.freeze()
        daemon.type("")
        notice = daemon.wait_for("^! .*microphone")
        lit = daemon.lines.index("● recording")
        assert lit < daemon.lines.index(notice)
        wait_until(lambda: "○ not recording" in daemon.lines[lit:], "the light is off")
        daemon.type("what time is it")
        daemon.wait_for(r"^reply: It is \d+:\d\d [AP]M")
        assert daemon.stop() == 0


def speaking(sound_server: SoundServer) -> None:
    wait_until(lambda: sound_server.players() == 1, "it speaks")


def test_a_new_line_silences_the_reply(here: Place, sound_server: SoundServer) -> None:
    whole: list[Sound] = []
    cut: list[Sound] = []
    with here.daemon(ready="Press Enter to talk") as daemon:
        with sound_server.record(whole):
            daemon.type(HELP)
            ended(daemon, 0)
        said = len(daemon.lines)
        with sound_server.record(cut):
            daemon.type(HELP)
            speaking(sound_server)
            daemon.type("cancel the timer")
            daemon.wait_for(r"^\(interrupted after ", said)
            daemon.wait_for("^reply: No timer is running", said)
            ended(daemon, said)
        assert daemon.stop() == 0
    assert loud(whole[0]) > 5
    assert loud(cut[0]) < loud(whole[0]) - 2
    assert [row["state"] for row in here.rows()] == ["ended"] * 3


def test_enter_silences_the_reply_and_listens(here: Place, sound_server: SoundServer) -> None:
    with here.daemon(ready="Press Enter to talk") as daemon:
        daemon.type(HELP)
        speaking(sound_server)
        daemon.type("")
        daemon.wait_for(r"^\(interrupted after ")
        daemon.wait_for("● recording")
        wait_until(lambda: sound_server.listeners() == 1, "the microphone is open")
        assert daemon.stop() == 0  # also closes it
        wait_until(lambda: sound_server.listeners() == 0, "the microphone is closed")


def test_the_end_of_the_sound_server_is_told_and_survived(
    here: Place, sound_server: SoundServer
) -> None:
    with here.daemon(ready="Press Enter to talk") as daemon:
        daemon.type(HELP)
        speaking(sound_server)
        sound_server.die()
        daemon.wait_for(r"^! The loudspeaker .* The reply is shown only\.$")
        wait_until(lambda: here.rows()[-1]["state"] == "ended", "the turn is over")
        done = here.ask("--text", "what time is it", "--quiet")
        assert done.status == 0, done.err
        said = len(daemon.lines)
        daemon.type("what day is it today")
        daemon.wait_for(r"^reply: It is \w+day", said)
        assert daemon.process.poll() is None
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.text
    assert not children(daemon.process.pid)
