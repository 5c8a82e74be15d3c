"""What every Speaker must do: those that keep, write or drop the sound, and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from sound_server import SoundServer, used_by_this_process

from assistant import errors
from assistant.ports import Speaker
from assistant.turn import RATE, Sound
from hardware import recording
from hardware.fakes import RecordingSpeaker, SilentSpeaker, WavFileSpeaker
from hardware.speaker import PortAudioSpeaker

from .conftest import Run


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nobody waits: the clock goes straight to the next deadline."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture(scope="module")
def server() -> Iterator[SoundServer]:
    with used_by_this_process() as server:
        yield server


@pytest.fixture(params=["recording", "recording at once", "file", "silent", "PortAudio"])
def speaker(request: pytest.FixtureRequest, tmp_path: Path) -> Speaker:
    if request.param == "PortAudio":
        request.getfixturevalue("server")
        return PortAudioSpeaker()
    fakes: dict[str, Speaker] = {
        "recording": RecordingSpeaker(),
        "recording at once": RecordingSpeaker(realtime=False),
        "file": WavFileSpeaker(tmp_path / "reply.wav"),
        "silent": SilentSpeaker(),
    }
    return fakes[request.param]


def tone(seconds: float, rate: int = RATE) -> Sound:
    times = np.arange(round(seconds * rate)) / rate
    return Sound((0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32), rate)


async def these(*sounds: Sound) -> AsyncGenerator[Sound]:
    for sound in sounds:
        yield sound


def whole(speaker: Speaker, seconds: float) -> float:
    """What the speaker must say that was heard of so many seconds."""
    return 0 if speaker.name == "none" else seconds


def test_it_plays_to_the_end(speaker: Speaker, run: Run) -> None:
    assert speaker.name
    assert speaker.heard == 0
    run(speaker.play(these(tone(0.2), tone(0.1))))
    assert speaker.heard == pytest.approx(whole(speaker, 0.3), abs=0.01)


def test_each_play_counts_anew(speaker: Speaker, run: Run) -> None:
    for seconds in (0.2, 0.1):
        run(speaker.play(these(tone(seconds))))
        assert speaker.heard == pytest.approx(whole(speaker, seconds), abs=0.01)


def test_sounds_of_several_rates(speaker: Speaker, run: Run) -> None:
    run(speaker.play(these(tone(0.1), tone(0.1, 22_050), tone(0.1, 48_000))))
    assert speaker.heard == pytest.approx(whole(speaker, 0.3), abs=0.01)


def test_nothing_to_play(speaker: Speaker, run: Run) -> None:
    run(speaker.play(these()))
    assert speaker.heard == 0
    run(speaker.play(these(tone(0))))
    assert speaker.heard == 0


def test_a_source_that_fails_is_heard_of(speaker: Speaker, run: Run) -> None:
    async def breaks() -> AsyncGenerator[Sound]:
        yield tone(0.1)
        raise errors.EngineDied("The voice died.")

    with pytest.raises(errors.EngineDied):
        run(speaker.play(breaks()))
    run(speaker.play(these(tone(0.1))))
    assert speaker.heard == pytest.approx(whole(speaker, 0.1), abs=0.01)


def test_cancelled_it_stops_and_plays_again(speaker: Speaker, run: Run) -> None:
    async def begun(started: asyncio.Event) -> AsyncGenerator[Sound]:
        yield tone(0.5)
        started.set()
        yield tone(60)
        await asyncio.Event().wait()  # the next clause never comes

    async def cancelled() -> None:
        started = asyncio.Event()
        async with aclosing(begun(started)) as sounds:
            playing = asyncio.create_task(speaker.play(sounds))
            await started.wait()
            playing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await playing

    run(cancelled())
    run(speaker.play(these(tone(0.1))))
    assert speaker.heard == pytest.approx(whole(speaker, 0.1), abs=0.01)


@pytest.mark.parametrize("speaker", ["recording", "PortAudio"], indirect=True)
def test_what_was_cut_off_was_not_heard(speaker: Speaker, run: Run) -> None:
    async def cancelled() -> None:
        playing = asyncio.create_task(speaker.play(these(tone(60))))
        while speaker.heard < 0.2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        playing.cancel()
        await asyncio.wait([playing])

    run(cancelled())
    heard = speaker.heard
    assert 0.2 <= heard < 50
    run(asyncio.sleep(0.1))
    assert speaker.heard == heard


def test_in_virtual_time_a_sound_lasts_as_long_as_it_is() -> None:
    speaker = RecordingSpeaker()

    async def interrupted() -> None:
        loop = asyncio.get_running_loop()
        await speaker.play(these(tone(2), tone(1)))
        assert loop.time() == pytest.approx(3)
        playing = asyncio.create_task(speaker.play(these(tone(2), tone(60))))
        await asyncio.sleep(10)
        assert speaker.heard == pytest.approx(10)
        assert speaker.sound.seconds == pytest.approx(10, abs=0.001)
        playing.cancel()
        await asyncio.wait([playing])
        await asyncio.sleep(10)
        assert speaker.heard == pytest.approx(10, abs=0.001)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(interrupted())
    np.testing.assert_array_equal(speaker.sound.samples[: 2 * RATE], tone(2).samples)
    assert speaker.plays == 2


def test_a_file_holds_the_whole_reply(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "reply.wav"
    speaker = WavFileSpeaker(path)
    run(speaker.play(these(tone(0.5, 22_050), tone(0.5, 22_050))))
    assert recording.decode(path, 10).seconds == pytest.approx(1, abs=0.001)
    run(speaker.play(these()))  # no sound: a file without samples, not the older reply
    with pytest.raises(errors.AudioEmpty):
        recording.decode(path, 10)


def test_a_reply_that_was_not_finished_leaves_the_older_file(tmp_path: Path, run: Run) -> None:
    async def breaks() -> AsyncGenerator[Sound]:
        yield tone(0.1)
        raise errors.EngineDied("The voice died.")

    path = tmp_path / "reply.wav"
    speaker = WavFileSpeaker(path)
    run(speaker.play(these(tone(0.5))))
    older = path.read_bytes()
    with pytest.raises(errors.EngineDied):
        run(speaker.play(breaks()))
    assert path.read_bytes() == older
    with pytest.raises(errors.DiskFull):
        run(WavFileSpeaker(Path("/dev/full")).play(these(tone(0.5))))


def test_a_loudspeaker_that_is_not_there_is_named_with_those_that_are(
    server: SoundServer, run: Run
) -> None:
    with pytest.raises(errors.DeviceMissing, match=r"no such thing.*pulse"):
        run(PortAudioSpeaker("no such thing").play(these(tone(0.1))))


def test_what_was_played_is_what_sounds(server: SoundServer, run: Run) -> None:
    """White noise in uneven pieces comes out of the device sample for sample."""
    noise = Sound(np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32), 48_000)
    speaker, sounded = PortAudioSpeaker(), list[Sound]()
    with server.record(sounded):
        run(speaker.play(these(noise.part(0, 0.1), noise.part(0.1, 0.7), noise.part(0.7, 1))))
    for start in (0.0, 0.3, 0.9):
        piece = noise.part(start, start + 0.1).samples
        likeness = np.correlate(sounded[0].samples, piece, "valid").max() / np.dot(piece, piece)
        assert likeness == pytest.approx(1, abs=0.02)
