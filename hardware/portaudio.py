"""What the microphone and the loudspeaker share: PortAudio's devices, a ring, and patience.

PortAudio is loaded when a device is first opened. It reads the environment and its list of devices
then, once for the process. A sound server that hangs blocks its calls for ever, so each call runs
in a thread of its own that is waited for only so long.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from assistant import errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
USUAL_RATE = 48_000
"""Hz. What sound cards and servers run at. PortAudio's default for ALSA is a guess, 44,100, and the
bridge to PulseAudio then converts with buffers that run empty again and again (measured with
buffers of 40 to 80 ms; none at 48,000). Devices that refuse it are opened at their default."""
LATENCY = 0.03
"""Seconds of sound that a device is asked to hold."""
OPENING = 5.0
"""Seconds that a sound server may take to open a stream."""
CLOSING = 1.0
"""Seconds that it may take to close or stop one."""

_one_at_a_time = threading.Lock()
"""PortAudio's calls that open or close are not safe in two threads at once."""


@dataclass(frozen=True, slots=True)
class Device:
    """One of PortAudio's devices. `rate` is its default, in Hz."""

    index: int
    name: str
    rate: int
    channels: int


class Ring:
    """A bounded queue of float32 samples between one writer and one reader, without a lock.

    Each counter is moved by one side only, after the samples are in place: the callback of a
    device neither waits nor allocates.
    """

    def __init__(self, size: int) -> None:
        self._samples = np.zeros(size, np.float32)
        self.written = 0
        self.read = 0

    @property
    def filled(self) -> int:
        return self.written - self.read

    @property
    def room(self) -> int:
        return len(self._samples) - self.filled

    def put(self, samples: NDArray[np.float32]) -> int:
        """Copies in what fits; gives how many samples that was."""
        count = min(len(samples), self.room)
        at = self.written % len(self._samples)
        first = min(count, len(self._samples) - at)
        self._samples[at : at + first] = samples[:first]
        self._samples[: count - first] = samples[first:count]
        self.written += count
        return count

    def take(self, into: NDArray[np.float32]) -> int:
        """Copies out what is there, oldest first; gives how many samples that was."""
        count = min(len(into), self.filled)
        at = self.read % len(self._samples)
        first = min(count, len(self._samples) - at)
        into[:first] = self._samples[at : at + first]
        into[first:count] = self._samples[: count - first]
        self.read += count
        return count


def library() -> Any:
    """The sounddevice module. Raises DeviceMissing where PortAudio is not installed."""
    try:
        import sounddevice
    except OSError as error:
        raise errors.DeviceMissing(
            "Sound needs the PortAudio library.", "Install the package libportaudio2."
        ) from error
    except ImportError as error:
        raise errors.DeviceMissing(
            "Sound needs the Python package sounddevice.", "Install it with pip."
        ) from error
    return sounddevice


Kind = Literal["input", "output"]
WHAT: dict[Kind, str] = {"input": "microphone", "output": "loudspeaker"}


async def found(kind: Kind, wanted: str) -> Device:
    """The device of that name, or whose name contains it; the default one for "".

    Raises DeviceMissing, which lists the names there are, and DeviceLost where the sound server
    hangs: loading PortAudio asks it for its devices.
    """
    try:
        return await _within(OPENING, lambda: _found(kind, wanted), locked=True)
    except TimeoutError as error:
        raise _hangs(WHAT[kind]) from error


def _found(kind: Kind, wanted: str) -> Device:
    what, sounddevice = WHAT[kind], library()
    devices = [
        Device(index, str(info["name"]), int(info["default_samplerate"]), int(channels))
        for index, info in enumerate(sounddevice.query_devices())
        if (channels := info[f"max_{kind}_channels"]) > 0
    ]
    if not devices:
        raise errors.DeviceMissing(f"There is no {what}.", "Connect one, or type instead.")
    if wanted:
        fitting = [device for device in devices if wanted.casefold() in device.name.casefold()]
        fitting.sort(key=lambda device: device.name != wanted)
    else:
        default = sounddevice.default.device[kind]
        fitting = [device for device in devices if device.index == default] or devices[:1]
    if not fitting:
        names = ", ".join(sorted({device.name for device in devices}))
        raise errors.DeviceMissing(f"There is no {what} called {wanted}.", f"There are: {names}.")
    return fitting[0]


async def opened(make: Callable[[int], Any], device: Device, what: str) -> Any:
    """Runs `make`, which opens and starts a stream at a rate. Raises DeviceMissing, DeviceLost.

    A stream that opens only after nobody waits any more is closed again.
    """
    sounddevice = library()

    def first_rate_taken() -> Any:
        try:
            return make(USUAL_RATE)
        except sounddevice.PortAudioError:
            return make(device.rate)

    try:
        return await _within(OPENING, first_rate_taken, undo=_close, locked=True)
    except TimeoutError as error:
        raise _hangs(what) from error
    except (sounddevice.PortAudioError, ValueError) as error:
        raise errors.DeviceMissing(
            f"The {what} cannot be opened.",
            "Is it connected, and not in use by another program?",
        ) from error


def begun(stream: Any) -> Any:
    """The stream, started; one that will not start is closed. Blocks."""
    try:
        stream.start()
    except library().PortAudioError:
        _close(stream)
        raise
    return stream


async def closed(stream: Any) -> None:
    """Closes a stream. A server that hangs is left to itself: the operating system closes then."""
    try:
        await _within(CLOSING, lambda: _close(stream), locked=True)
    except TimeoutError:
        # sounddevice would wait for the server once more when the process ends.
        atexit.unregister(library()._exit_handler)


def _close(stream: Any) -> None:
    stream.abort(ignore_errors=True)
    stream.close(ignore_errors=True)


def _hangs(what: str) -> errors.DeviceLost:
    return errors.DeviceLost(
        f"The {what} does not answer: the sound server hangs.", "Start the sound server again."
    )


async def _within(
    seconds: float,
    call: Callable[[], T],
    undo: Callable[[T], None] = lambda _: None,
    locked: bool = False,
) -> T:
    """The result of a blocking call; TimeoutError if it takes longer, which then goes on alone.

    `undo` is given the result of a call that nobody waits for any more, cancelled or too late.
    """
    waiting: Future[T] = Future()
    gate = _one_at_a_time if locked else contextlib.nullcontext()

    def run() -> None:
        with gate:
            try:
                result = call()
            except Exception as error:
                with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                    waiting.set_exception(error)
                return
            try:
                waiting.set_result(result)
            except InvalidStateError:
                undo(result)

    def undo_late() -> None:
        with gate:
            undo(waiting.result())

    _in_thread(run)
    try:
        # Not wait_for: before Python 3.12 it loses a cancellation that comes with the result.
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(waiting)
    except (asyncio.CancelledError, TimeoutError):
        if not waiting.cancel() and waiting.exception() is None:
            _in_thread(undo_late)
        raise


def _in_thread(call: Callable[[], None]) -> None:
    """A daemon: the process must be able to end while the call hangs."""
    threading.Thread(target=call, name="portaudio", daemon=True).start()
