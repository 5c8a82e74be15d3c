"""Sound files: any usual one comes in whole, any bad one ends in one sentence."""

from __future__ import annotations

import io
import os
import resource
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from assistant import errors
from assistant.turn import RATE, Sound
from hardware import recording

AUDIO = Path(__file__).parent / "audio"
FORMATS = {
    "u8.wav": ("wav", "pcm_u8", 8_000, "mono"),
    "s16.wav": ("wav", "pcm_s16le", 44_100, "stereo"),
    "s24.wav": ("wav", "pcm_s24le", 96_000, "stereo"),
    "s32.wav": ("wav", "pcm_s32le", 192_000, "mono"),
    "f32.wav": ("wav", "pcm_f32le", 48_000, "mono"),
    "mulaw.wav": ("wav", "pcm_mulaw", 8_000, "mono"),
    "5.1.wav": ("wav", "pcm_s16le", 48_000, "5.1"),
    "a.flac": ("flac", "flac", 44_100, "stereo"),
    "a.mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "opus.ogg": ("ogg", "libopus", 48_000, "mono"),
    "a.m4a": ("ipod", "aac", 44_100, "stereo"),
    "a.webm": ("webm", "libopus", 48_000, "stereo"),
    "5.1.mka": ("matroska", "aac", 48_000, "5.1"),
    "a.aiff": ("aiff", "pcm_s16be", 22_050, "mono"),
}
SECONDS = 3.0
PITCH = 440.0


def tone(rate: int, seconds: float = SECONDS) -> NDArray[np.float32]:
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * PITCH * times)).astype(np.float32)


def pitch_of(samples: NDArray[np.float32], rate: int = RATE) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def made(path: Path, container: str, codec: str, rate: int, layout: str) -> Path:
    """Three seconds of a tone on every channel."""
    channels = np.tile(tone(rate), (av.AudioLayout(layout).nb_channels, 1))
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        fit = av.AudioResampler(stream.format, stream.layout, rate, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
        frame.sample_rate = rate
        for part in [*fit.resample(frame), *fit.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path / request.param, *FORMATS[request.param])


def refused(path: Path, error: type[errors.AssistantError], longest: float = 60) -> str:
    """The one sentence that the file ends in."""
    with pytest.raises(error) as caught:
        recording.decode(path, longest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """As a user who may not enter the folder; works for root too."""
    user = os.geteuid()
    folder.chmod(0o000)
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def test_any_usual_format_comes_in_whole(file: Path) -> None:
    sound = recording.decode(file, longest=10)
    assert sound.rate == RATE
    assert sound.samples.dtype == np.float32
    assert sound.seconds == pytest.approx(SECONDS, abs=0.1)  # encoders pad
    middle = sound.part(1, 2).samples
    assert pitch_of(middle) == pytest.approx(PITCH, abs=1)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_a_file_that_is_cut_off_says_so(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "cut off" in refused(file, errors.AudioUnreadable)


@pytest.mark.parametrize("name", ["what-time.wav", "read-sign.flac", "set-timer.wav"])
def test_the_samples_hold_speech_between_pauses(name: str) -> None:
    sound = recording.decode(AUDIO / name, longest=10)
    assert 1.5 < sound.seconds < 4
    assert np.abs(sound.part(0, 0.3).samples).max() < 0.01
    assert np.abs(sound.part(sound.seconds - 0.3, sound.seconds).samples).max() < 0.01
    assert np.abs(sound.samples).max() > 0.1


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_a_wav_that_went_through_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    content = recording.wav_bytes(Sound(tone(RATE)))
    at = content.index(b"data") + 4
    (tmp_path / "piped.wav").write_bytes(content[:at] + struct.pack("<I", size) + content[at + 4 :])
    assert recording.decode(tmp_path / "piped.wav", 10).seconds == SECONDS


def test_missing_empty_and_other_files_each_have_their_error(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 100)
    (tmp_path / "no-samples.wav").write_bytes(recording.wav_bytes(Sound(tone(RATE, 0))))
    assert "no sound file" in refused(tmp_path / "none.wav", errors.AudioMissing)
    assert "folder" in refused(tmp_path, errors.AudioMissing)
    assert "empty" in refused(tmp_path / "empty.wav", errors.AudioEmpty)
    assert "no sound" in refused(tmp_path / "no-samples.wav", errors.AudioEmpty)
    assert "no sound" in refused(tmp_path / "text.wav", errors.AudioUnreadable)
    assert "no sound" in refused(
        Path(__file__).parent / "pictures" / "sign.jpg", errors.AudioUnreadable
    )
    assert "device" in refused(Path("/dev/zero"), errors.AudioUnreadable)
    refused(tmp_path / ("x" * 300), errors.AudioMissing)
    refused(tmp_path / "none.wav" / "below", errors.AudioMissing)


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    junk = np.random.default_rng(7)
    for size in (1, 12, 100, 5_000, 100_000):
        (tmp_path / "junk.mp3").write_bytes(junk.bytes(size))
        refused(tmp_path / "junk.mp3", errors.AudioUnreadable)


def test_damaged_files_end_in_a_sound_or_a_sentence(file: Path) -> None:
    content, dice = file.read_bytes(), np.random.default_rng(3)
    for _ in range(10):
        damaged = bytearray(content)
        for at in dice.integers(0, min(len(content), 300), 5):
            damaged[at] = dice.integers(256)
        file.write_bytes(damaged)
        with suppress(errors.HearingError):
            assert np.isfinite(recording.decode(file, 60).samples).all()


def test_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    recording.write_wav(folder / "a.wav", Sound(tone(RATE)))
    with without_rights(folder):
        assert "read permission" in refused(folder / "a.wav", errors.NotPermitted)
        with pytest.raises(errors.NotPermitted):
            recording.write_wav(folder / "b.wav", Sound(tone(RATE)))


def test_ten_hours_cost_no_more_than_what_is_allowed(tmp_path: Path) -> None:
    path, hours = tmp_path / "long.wav", 10
    size = hours * 3600 * RATE * 2
    header = recording.wav_bytes(Sound(tone(RATE, 0)))[:-4] + struct.pack("<I", size)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)  # a hole: takes no space
    before = read_so_far()
    said = refused(path, errors.AudioTooLong, longest=600)
    assert "10 hours" in said
    assert "10 minutes" in said
    assert read_so_far() - before < 100_000_000  # 600 s are 19 MB


def read_so_far() -> int:
    """Bytes that this process has read, by the kernel's count."""
    line = Path("/proc/self/io").read_text().splitlines()[0]
    return int(line.removeprefix("rchar: "))


def test_too_long_by_a_moment_is_too_long(tmp_path: Path) -> None:
    recording.write_wav(tmp_path / "a.wav", Sound(tone(RATE)))
    assert recording.decode(tmp_path / "a.wav", longest=SECONDS).seconds == SECONDS
    said = refused(tmp_path / "a.wav", errors.AudioTooLong, longest=2.9)
    assert "3 seconds" in said
    assert "2.9 seconds" in said


def test_floats_beyond_full_scale_are_clipped_and_no_numbers_refused(tmp_path: Path) -> None:
    for name, value in (("loud.wav", 7.0), ("nan.wav", np.nan)):
        samples = tone(RATE)
        samples[10_000:20_000] = value
        (tmp_path / name).write_bytes(float_wav(samples))
    assert recording.decode(tmp_path / "loud.wav", 10).samples.max() == 1.0
    assert "damaged" in refused(tmp_path / "nan.wav", errors.AudioUnreadable)


def float_wav(samples: NDArray[np.float32]) -> bytes:
    data = samples.tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    chunks = form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


def test_more_than_eight_channels(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "many.wav"), "wb") as wav:
        wav.setnchannels(46)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        pcm = (tone(RATE) * 32767).astype("<i2")
        wav.writeframes(np.repeat(pcm, 46).tobytes())
    sound = recording.decode(tmp_path / "many.wav", 10)
    assert sound.seconds == SECONDS
    assert pitch_of(sound.samples) == pytest.approx(PITCH, abs=1)


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    recording.write_wav(tmp_path / "a.wav", Sound(tone(RATE)))
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:3", "#EXTINF:3,", f"file://{tmp_path}/a.wav"]
    (tmp_path / "list.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    refused(tmp_path / "list.m3u8", errors.AudioUnreadable)
    refused(Path(f"concat:{tmp_path}/a.wav"), errors.AudioMissing)


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    recording.write_wav(tmp_path / "a.wav", Sound(tone(22_050), 22_050))
    with wave.open(str(tmp_path / "a.wav")) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 22_050)
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
    assert np.abs(pcm / 32767 - tone(22_050)).max() < 1 / 32767
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    target, older = tmp_path / "a.wav", Sound(tone(RATE, 0.01))
    recording.write_wav(target, older)
    with largest_file(10_000), pytest.raises(errors.DiskFull):
        recording.write_wav(target, Sound(tone(RATE)))
    assert target.read_bytes() == recording.wav_bytes(older)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writing_to_devices_links_and_folders(tmp_path: Path) -> None:
    sound = Sound(tone(RATE))
    recording.write_wav(Path("/dev/null"), sound)
    assert not Path("/dev/null").is_file()  # still the device
    with pytest.raises(errors.DiskFull):
        recording.write_wav(Path("/dev/full"), sound)
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "none" / "a.wav"):
        with pytest.raises(errors.NotPermitted):
            recording.write_wav(place, sound)
    (tmp_path / "link.wav").symlink_to("real.wav")
    recording.write_wav(tmp_path / "link.wav", sound)
    assert (tmp_path / "link.wav").is_symlink()
    assert (tmp_path / "real.wav").is_file()


@pytest.mark.parametrize("to_rate", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("from_rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_chunks_come_out_as_the_whole_would(from_rate: int, to_rate: int) -> None:
    whole = tone(from_rate, 1.0)
    at_once = resampled([whole], from_rate, to_rate)
    in_chunks = resampled(np.split(whole, [1, 100, 333, 334, 5_000]), from_rate, to_rate)
    np.testing.assert_allclose(in_chunks, at_once, atol=1e-5)
    assert len(at_once) == pytest.approx(to_rate, abs=2)
    middle = slice(to_rate // 10, -to_rate // 10)
    np.testing.assert_allclose(at_once[middle], tone(to_rate)[: len(at_once)][middle], atol=0.005)


@pytest.mark.parametrize("to_rate", [16_000, 48_000])
def test_resampling_nothing_gives_nothing(to_rate: int) -> None:
    assert len(resampled([], 16_000, to_rate)) == 0
    assert len(resampled([np.zeros(0, np.float32)], 16_000, to_rate)) == 0


def resampled(
    chunks: list[NDArray[np.float32]], from_rate: int, to_rate: int
) -> NDArray[np.float32]:
    resampler = recording.Resampler(from_rate, to_rate)
    return np.concatenate([*map(resampler.feed, chunks), resampler.flush()])


def test_a_wav_in_memory_is_a_wav() -> None:
    with wave.open(io.BytesIO(recording.wav_bytes(Sound(tone(RATE))))) as wav:
        assert wav.getnframes() == SECONDS * RATE
