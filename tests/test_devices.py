"""The real microphone and loudspeaker, each in a process of its own, on a private sound server."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sound_server import SoundServer, sound_server

from assistant.turn import Sound
from hardware import recording

__all__ = ["sound_server"]  # a fixture
ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests" / "audio" / "what-time.wav"

BEGIN = """
import asyncio, sys, threading
from contextlib import aclosing
from pathlib import Path
import numpy as np
from assistant import errors
from assistant.turn import Sound
from hardware.fakes import FakeLight
from hardware.microphone import PortAudioMicrophone
from hardware.recording import write_wav
from hardware.speaker import PortAudioSpeaker

def say(*words):
    print(*words, flush=True)

async def tone(pieces, seconds):
    for piece in range(pieces):
        times = np.arange(round(seconds * 22050)) / 22050 + piece * seconds
        yield Sound((0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32), 22050)

async def listen(until, microphone=None):
    with FakeLight().recording() as lit:
        async with aclosing((microphone or PortAudioMicrophone()).listen(lit)) as sounds:
            async for sound in sounds:
                if until(sound):
                    return

def told(coroutine):
    try:
        asyncio.run(coroutine)
    except errors.AssistantError as error:
        say(error.code)
"""

PLAY_FOR_EVER = """
async def main():
    speaker = PortAudioSpeaker()
    playing = asyncio.create_task(speaker.play(tone(1000, 1)))
    while speaker.heard < 0.3 and not playing.done():
        await asyncio.sleep(0.02)
    say("begun")
    await playing
told(main())
"""

LISTEN_FOR_EVER = """
heard = []
def begun(sound):
    heard.append(sound)
    if len(heard) == 10:
        say("begun")
told(listen(begun))
"""


@contextmanager
def child(environment: dict[str, str], code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `code` after BEGIN."""
    process = subprocess.Popen(
        (sys.executable, "-c", BEGIN + textwrap.dedent(code)),
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answer(environment: dict[str, str], code: str) -> str:
    """What the process says; it ends by itself and without a traceback."""
    with child(environment, code) as process:
        return end_of(process)


def end_of(process: subprocess.Popen[str]) -> str:
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, complained
    assert "Traceback" not in complained
    return said.strip()


def sounding(sound: Sound) -> NDArray[np.float32]:
    """From the first to the last sample that is no silence."""
    loud = np.flatnonzero(np.abs(sound.samples) > 0.01)
    assert len(loud), "nothing was heard"
    return sound.samples[loud[0] : loud[-1] + 1]


def test_a_tone_is_heard_whole_before_play_returns(sound_server: SoundServer) -> None:
    heard: list[Sound] = []
    play = """
        async def main():
            speaker = PortAudioSpeaker()
            await speaker.play(tone(3, 0.5))
            say(round(speaker.heard, 2))
        told(main())
        """
    with sound_server.record(heard):
        assert answer(sound_server.environment, play) == "1.5"
    played, rate = sounding(heard[0]), heard[0].rate
    assert len(played) / rate == pytest.approx(1.5, abs=0.02)
    pitch = np.abs(np.fft.rfft(played)).argmax() * rate / len(played)
    assert pitch == pytest.approx(440, abs=2)
    assert np.abs(played).max() == pytest.approx(0.3, abs=0.03)


def test_what_is_spoken_arrives(sound_server: SoundServer, tmp_path: Path) -> None:
    listen = """
        heard, enough = [], threading.Event()
        def wait_for_a_line():
            sys.stdin.readline()
            enough.set()
        threading.Thread(target=wait_for_a_line, daemon=True).start()
        def until(sound):
            heard.append(sound.samples)
            if len(heard) == 1:
                say("begun")
            return enough.is_set()
        told(listen(until))
        write_wav(Path(OUT), Sound(np.concatenate(heard)))
        """.replace("OUT", repr(str(tmp_path / "heard.wav")))
    with child(sound_server.environment, listen) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        sound_server.speak(SAMPLE)
        process.stdin.write("\n")  # type: ignore[union-attr]
        assert end_of(process) == ""
    spoken = recording.decode(SAMPLE, 10).part(0.4, 1.4).samples
    heard = recording.decode(tmp_path / "heard.wav", 60).samples
    best = int(np.correlate(heard, spoken, "valid").argmax())
    likeness = np.corrcoef(heard[best : best + len(spoken)], spoken)[0, 1]
    assert likeness > 0.9
    assert sound_server.listeners() == 0


def test_cancelled_it_is_silent_at_once(sound_server: SoundServer) -> None:
    heard: list[Sound] = []
    cancel = """
        async def main():
            speaker = PortAudioSpeaker()
            playing = asyncio.create_task(speaker.play(tone(60, 1)))
            while speaker.heard < 0.5:
                await asyncio.sleep(0.02)
            playing.cancel()
            await asyncio.wait([playing])
            say(speaker.heard)
            await asyncio.sleep(1)  # what was still on its way would be recorded now
        told(main())
        """
    with sound_server.record(heard):
        claimed = float(answer(sound_server.environment, cancel))
    really = len(sounding(heard[0])) / heard[0].rate
    assert really == pytest.approx(claimed, abs=0.25)


@pytest.mark.parametrize("fault", ["freeze", "die"])
@pytest.mark.parametrize("task", [PLAY_FOR_EVER, LISTEN_FOR_EVER], ids=["play", "listen"])
def test_a_sound_server_that_fails_is_noticed(
    sound_server: SoundServer, task: str, fault: str
) -> None:
    with child(sound_server.environment, task) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        getattr(sound_server, fault)()
        assert end_of(process) == "device-lost"


@pytest.mark.parametrize("task", [PLAY_FOR_EVER, LISTEN_FOR_EVER], ids=["play", "listen"])
def test_a_sound_server_that_hangs_from_the_start(sound_server: SoundServer, task: str) -> None:
    sound_server.freeze()
    assert answer(sound_server.environment, task).splitlines()[-1] == "device-lost"


def test_a_sound_server_that_comes_back_is_used_again(sound_server: SoundServer) -> None:
    play_three_times = """
        speaker = PortAudioSpeaker()
        async def main():
            for _ in range(3):
                try:
                    await speaker.play(tone(1, 0.3))
                    say("played", round(speaker.heard, 1))
                except errors.DeviceError:
                    say("failed")
                await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        told(main())
        """
    with child(sound_server.environment, play_three_times) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        said = [process.stdout.readline()]
        for change in (sound_server.die, sound_server.start):
            change()
            process.stdin.write("\n")
            process.stdin.flush()
            said.append(process.stdout.readline())
        process.stdin.close()
        process.stdin = None
        assert said == ["played 0.3\n", "failed\n", "played 0.3\n"]
        end_of(process)


@pytest.mark.parametrize("task", [PLAY_FOR_EVER, LISTEN_FOR_EVER], ids=["play", "listen"])
def test_without_any_device(tmp_path: Path, task: str) -> None:
    if Path("/proc/asound/cards").exists():
        pytest.skip("this machine has a sound card")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_SERVER": f"unix:{tmp_path}/none",
    }
    assert answer(environment, task).splitlines()[-1] == "device-missing"


def test_without_the_library(tmp_path: Path) -> None:
    """What sounddevice does where libportaudio2 is not installed."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    play = "\ntold(PortAudioSpeaker().play(tone(1, 1)))"
    tasks = f"sys.path.insert(0, {str(tmp_path)!r})" + LISTEN_FOR_EVER + play
    said = answer(dict(os.environ), tasks)
    assert said.splitlines() == ["device-missing", "device-missing"]


def test_in_the_dark_not_even_the_library_is_loaded() -> None:
    listen = """
        async def main():
            with FakeLight().recording() as lit:
                pass
            await anext(PortAudioMicrophone().listen(lit))
        told(main())
        say("sounddevice" in sys.modules)
        """
    assert answer(dict(os.environ), listen).split() == ["light-dark", "False"]
