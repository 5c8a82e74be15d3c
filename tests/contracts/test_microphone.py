"""What every Microphone must do: the one that plays a recording, and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from sound_server import SoundServer, used_by_this_process

from assistant import errors
from assistant.ports import Microphone
from assistant.turn import RATE, Sound
from hardware.fakes import FakeLight, WavMicrophone
from hardware.microphone import PortAudioMicrophone
from hardware.recording import write_wav

from .conftest import Run

PITCH = 440.0
TONE = Sound((0.5 * np.sin(2 * np.pi * PITCH * np.arange(10 * RATE) / RATE)).astype(np.float32))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    """A sound server whose microphone hears the tone for ever."""
    with used_by_this_process() as server:
        wav: Path = tmp_path_factory.mktemp("tone") / "tone.wav"
        write_wav(wav, TONE)
        server.begin("sh", "-c", f"while paplay --device=micfeed {wav}; do :; done")
        yield server


@pytest.fixture(params=["recording", "recording at once", "PortAudio"])
def microphone(request: pytest.FixtureRequest) -> Microphone:
    if request.param == "PortAudio":
        request.getfixturevalue("server")
        return PortAudioMicrophone()
    return WavMicrophone(TONE, realtime=request.param == "recording")


async def heard(microphone: Microphone, light: FakeLight, chunks: int) -> list[Sound]:
    sounds = []
    with light.recording() as lit:
        async with aclosing(microphone.listen(lit)) as listening:
            async for sound in listening:
                sounds.append(sound)
                if len(sounds) == chunks:
                    break
    return sounds


def test_sound_comes_in_chunks_of_32_ms(microphone: Microphone, run: Run) -> None:
    for sound in run(heard(microphone, FakeLight(), chunks=10)):
        assert sound.samples.shape == (512,)
        assert sound.samples.dtype == np.float32
        assert sound.rate == RATE
    assert microphone.name


def test_what_sounds_is_what_is_heard(microphone: Microphone, run: Run) -> None:
    sounds = run(heard(microphone, FakeLight(), chunks=60))
    samples = np.concatenate([sound.samples for sound in sounds])[-RATE:]
    assert np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples) == pytest.approx(
        PITCH, abs=2
    )
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)


def test_it_listens_again(microphone: Microphone, run: Run) -> None:
    for _ in range(3):
        assert len(run(heard(microphone, FakeLight(), chunks=3))) == 3


def test_without_a_lit_light_nothing_is_heard(microphone: Microphone, run: Run) -> None:
    async def listen_in_the_dark() -> None:
        with FakeLight().recording() as lit:
            pass
        async with aclosing(microphone.listen(lit)) as listening:
            await anext(listening)

    with pytest.raises(errors.LightDark):
        run(listen_in_the_dark())


def test_when_the_light_goes_out_listening_ends(microphone: Microphone, run: Run) -> None:
    async def listen_until_it_breaks() -> None:
        light = FakeLight()
        with light.recording() as lit:
            async with aclosing(microphone.listen(lit)) as listening:
                await anext(listening)
                light.fail()
                await anext(listening)

    with pytest.raises(errors.LightDark):
        run(listen_until_it_breaks())


def test_cancelled_while_it_waits_it_ends(microphone: Microphone, run: Run) -> None:
    async def cancelled() -> None:
        listening = asyncio.create_task(heard(microphone, FakeLight(), chunks=10**9))
        await asyncio.sleep(0)
        listening.cancel()
        await listening

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())


def test_the_device_is_open_only_while_it_listens(server: SoundServer, run: Run) -> None:
    async def listen() -> None:
        with FakeLight().recording() as lit:
            async with aclosing(PortAudioMicrophone().listen(lit)) as listening:
                assert server.listeners() == 0
                await anext(listening)
                assert server.listeners() == 1
        assert server.listeners() == 0

    run(listen())


def test_in_the_dark_no_device_is_opened(server: SoundServer, run: Run) -> None:
    class BreaksSoon(FakeLight):
        """A light that is already dark when it is asked."""

        on = False

    async def listen() -> None:
        await anext(PortAudioMicrophone().listen(BreaksSoon()))

    with pytest.raises(errors.LightDark):
        run(listen())
    assert server.listeners() == 0


def test_a_device_that_is_not_there_is_named_with_those_that_are(
    server: SoundServer, run: Run
) -> None:
    async def listen() -> None:
        await heard(PortAudioMicrophone("no such thing"), FakeLight(), chunks=1)

    with pytest.raises(errors.DeviceMissing, match=r"no such thing.*pulse"):
        run(listen())


def test_a_device_is_found_by_part_of_its_name(server: SoundServer, run: Run) -> None:
    assert len(run(heard(PortAudioMicrophone("PULS"), FakeLight(), chunks=3))) == 3


def test_a_recording_ends_with_silence_to_fill_its_last_chunk(run: Run) -> None:
    short = WavMicrophone(TONE.part(0, 1000 / RATE), realtime=False)
    first, last = run(heard(short, FakeLight(), chunks=10))
    np.testing.assert_array_equal(first.samples, TONE.samples[:512])
    np.testing.assert_array_equal(last.samples[: 1000 - 512], TONE.samples[512:1000])
    assert not last.samples[1000 - 512 :].any()


def test_a_recording_of_another_rate_is_resampled(run: Run) -> None:
    other = Sound(TONE.samples[:RATE], 8_000)  # two seconds, an octave lower
    sounds = run(heard(WavMicrophone(other, realtime=False), FakeLight(), chunks=1000))
    assert sum(sound.seconds for sound in sounds) == pytest.approx(2, abs=0.04)
