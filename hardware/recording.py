"""Sound files in and out: any usual recording to mono float32 at 16 kHz, and replies to WAV.

Takes what FFmpeg's demuxers for sound take, 8 to 192 kHz, any sample format, mono to 5.1. Refuses,
each with an error of its own: what is missing, empty, not sound, cut off, or too long.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from assistant import errors
from assistant.turn import RATE, Sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = "wav,w64,rf64,flac,mp3,ogg,mov,matroska,aac,aiff,au,caf,amr,asf,wv"
"""The demuxers that may open a file: no playlists, which would fetch other files and addresses."""
SHORT = 0.02
"""Share of the promised length, or of the packets, that may be missing: padding, a bad packet."""


class Resampler:
    """Changes the rate of mono sound that comes in chunks, without a seam between them.

    Takes and gives float32 [n]. The filter (FFmpeg's swresample) holds back a millisecond or so
    until `flush`, after which the resampler is at its end.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        import av

        self._frame = av.AudioFrame
        self._from_rate = from_rate
        same = from_rate == to_rate
        self._filter = None if same else av.AudioResampler("flt", "mono", to_rate)

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What of the resampled sound is ready now; may be empty."""
        if self._filter is None or not len(samples):
            return samples
        packed = np.ascontiguousarray(samples, dtype=np.float32).reshape(1, -1)
        frame = self._frame.from_ndarray(packed, format="flt", layout="mono")
        frame.sample_rate = self._from_rate
        return _joined(self._filter.resample(frame))

    def flush(self) -> NDArray[np.float32]:
        """The rest."""
        return _joined(self._filter.resample(None)) if self._filter else _joined([])


def decode(path: Path, longest: float) -> Sound:
    """The sound of a file: mono float32 at 16 kHz, at most `longest` seconds.

    Several channels become their mean, without the low-frequency one. Decoding stops once
    `longest` is exceeded, so a file of ten hours costs no more than `longest`. A file that ends
    before its own header says is refused: half a question would be answered wrongly.
    Raises AudioMissing, NotPermitted, AudioEmpty, AudioUnreadable and AudioTooLong.
    """
    import av

    with _opened(path) as file:
        promised, broken_page = _wav_seconds(file), _ends_inside_ogg_page(file)
        try:
            # max_size: bytes of a WAV's packet; ten times faster than with the usual 4,096.
            options = {"format_whitelist": FORMATS, "max_size": "65536"}
            with av.open(file, options=options, metadata_errors="replace") as container:
                if promised is None:
                    promised = _promised_seconds(container)
                samples, damaged = _decoded(container, path, longest, promised)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            raise errors.AudioUnreadable(
                f"{path} is no sound recording that I can read, or it is cut off at its start.",
                "Give a WAV, FLAC, MP3, Ogg, M4A or WebM file.",
            ) from error
    _check(path, samples, damaged, promised, broken_page)
    return Sound(np.clip(samples, -1.0, 1.0, out=samples))


def write_wav(path: Path, sound: Sound) -> None:
    """Writes 16-bit mono PCM at the sound's rate: the whole file or, where it fails, none of it.

    Raises DiskFull or NotPermitted.
    """
    content = wav_bytes(sound)
    try:
        target = path.resolve()  # a link stays, what it points to is replaced
        if target.exists() and not target.is_file():
            target.write_bytes(content)  # a device or a pipe: nothing to be renamed over
            return
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "read-only")
        _replace(target, content)
    except OSError as error:
        raise errors.of_os(error, path) from error


def wav_bytes(sound: Sound) -> bytes:
    """A WAV file in memory: 16-bit mono PCM at the sound's rate."""
    pcm = np.rint(np.clip(sound.samples, -1.0, 1.0) * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sound.rate)
        wav.writeframes(pcm.tobytes())
    return buffer.getvalue()


def _opened(path: Path) -> BinaryIO:
    """The file, given to FFmpeg as bytes: no name can then act as an address."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise errors.AudioMissing(f"{path} is a folder, not a sound file.")
        if not stat.S_ISREG(found.st_mode):
            raise errors.AudioUnreadable(f"{path} is a device or a pipe, not a sound file.")
        if not found.st_size:
            raise errors.AudioEmpty(f"{path} is empty.")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.AudioMissing(f"There is no sound file {path}.") from error
    except PermissionError as error:
        raise errors.NotPermitted(
            f"I may not read {path}.", "Give yourself read permission there."
        ) from error
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or holds NUL
        raise errors.AudioMissing(f"I cannot open the sound file {path}.") from error


def _decoded(
    container: Any, path: Path, longest: float, promised: float
) -> tuple[NDArray[np.float32], float]:
    """The samples at 16 kHz, and the share of the packets that could not be decoded."""
    import av

    if not container.streams.audio:
        raise errors.AudioUnreadable(f"{path} holds no sound track.")
    resampler = av.AudioResampler("flt", None, RATE)
    chunks, count, packets, damaged = [np.zeros(0, np.float32)], 0, 0, 0
    for packet in container.demux(container.streams.audio[0]):
        packets += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            damaged += 1  # passed over, as players do; too many are refused below
            continue
        for frame in frames:
            chunks.append(_joined(resampler.resample(frame)))
            count += len(chunks[-1])
        if count > longest * RATE:
            lasts = _length(promised) if promised > longest else f"more than {_length(longest)}"
            raise errors.AudioTooLong(
                f"{path} lasts {lasts}; I take at most {_length(longest)}.",
                "Give a shorter one, or allow more in the settings.",
            )
    if count:
        chunks.append(_joined(resampler.resample(None)))
    return np.concatenate(chunks), damaged / max(1, packets)


def _check(
    path: Path, samples: NDArray[np.float32], damaged: float, promised: float, broken_page: bool
) -> None:
    """Refuses what decoded to nothing, to less than was promised, or to no sound."""
    lasts = len(samples) / RATE
    if promised - lasts > max(0.1, SHORT * promised):
        raise errors.AudioUnreadable(
            f"{path} is cut off: it should last {_length(promised)} but ends after"
            f" {_length(lasts)}.",
            "Copy or record it again.",
        )
    if broken_page:
        raise errors.AudioUnreadable(f"{path} is cut off.", "Copy or record it again.")
    if damaged > SHORT or np.isnan(samples).any():
        raise errors.AudioUnreadable(f"{path} is damaged, or no sound.", "Copy or record it again.")
    if not len(samples):
        raise errors.AudioEmpty(f"{path} holds no sound.")


def _promised_seconds(container: Any) -> float:
    """Length of the sound according to the file's header; 0 where it does not say."""
    for stream in container.streams.audio[:1]:
        if stream.duration is not None:
            return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000  # FFmpeg's AV_TIME_BASE


def _wav_seconds(file: BinaryIO) -> float | None:
    """Length according to a WAV's header, None for another format: FFmpeg hides a missing end.

    0 where the data chunk says nothing or 2 GiB and more, as one does that went through a pipe.
    Chunks: Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft, 1991.
    """
    head, bytes_a_second = file.read(12), 0
    seconds = None
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        seconds = 0.0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                piped = size == 0 or size >= 0x7FFF_0000
                seconds = 0.0 if piped else size / max(1, bytes_a_second)
                break
            content = file.read(16) if name == b"fmt " else b""
            if len(content) == 16:
                bytes_a_second = struct.unpack_from("<I", content, 8)[0]
            file.seek(size + size % 2 - len(content), io.SEEK_CUR)
    file.seek(0)
    return seconds


def _ends_inside_ogg_page(file: BinaryIO) -> bool:
    """Whether an Ogg file stops before its last page does: FFmpeg drops such a page unsaid.

    Page: magic, version 0, ..., at 26 the number of segments, then their lengths (RFC 3533).
    """
    is_ogg = file.read(4) == b"OggS"
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - 2 * 65_307)  # a page is no longer than 65,307 bytes
    file.seek(start)
    tail = file.read()
    file.seek(0)
    page = tail[tail.rfind(b"OggS\0") :]
    if not is_ogg:
        return False
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) < 27 or len(lengths) < page[26] or len(page) < 27 + page[26] + sum(lengths)


def _joined(frames: list[Any]) -> NDArray[np.float32]:
    """Frames of float32 as one mono array. They are packed: PyAV 18 misreads planes past eight."""
    arrays = [_mixed(frame.to_ndarray(), frame.layout) for frame in frames]
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)


def _mixed(packed: NDArray[np.float32], layout: Any) -> NDArray[np.float32]:
    """Packed [1, n x channels] to mono [n]: the mean of the channels that carry voices."""
    channels = packed.reshape(-1, layout.nb_channels)
    voices = [index for index, channel in enumerate(layout.channels) if channel.name != "LFE"]
    mean: NDArray[np.float32] = channels[:, voices or [0]].mean(axis=1, dtype=np.float32)
    return mean


def _length(seconds: float) -> str:
    """As a person says it: 4.2 seconds, 10 minutes, 10.5 hours."""
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= 2 * size or unit == "second":
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}s"
    raise AssertionError("unreachable")


def _replace(target: Path, content: bytes) -> None:
    """Writes beside the target, then renames: a reader sees the old file or the whole new one."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
