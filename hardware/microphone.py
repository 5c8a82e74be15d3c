"""A real microphone through PortAudio: mono at 16 kHz in chunks of 32 ms.

Nothing is opened without a lit recording light, and nothing stays open when listening ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant import errors
from assistant.ports import Lit
from assistant.turn import RATE, Sound
from hardware import portaudio
from hardware.light import require_lit
from hardware.recording import Resampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 512
"""Samples a chunk: 32 ms at 16 kHz, one step of the voice activity model."""
BACKLOG = 10.0
"""Seconds of sound kept while nobody fetches it; what comes after that is lost, and logged."""
log = logging.getLogger(__name__)


class PortAudioMicrophone:
    """Listens to the device whose name contains `device`, or to the default one.

    The device runs at a rate of its own; of several channels the first is taken. `patience` is how
    many seconds may pass without a sample: a hung sound server gives no error, only nothing.
    """

    def __init__(self, device: str = "", patience: float = 2.0) -> None:
        self.name = device or "microphone"
        self._wanted = device
        self._patience = patience

    async def find(self) -> str:
        """The device's own name; loads PortAudio, so that `listen` begins sooner. Opens nothing.

        Raises DeviceMissing, DeviceLost.
        """
        return (await portaudio.found("input", self._wanted)).name

    async def listen(self, lit: Lit) -> AsyncGenerator[Sound]:
        """Sound as it is heard. Raises LightDark, DeviceMissing, DeviceLost."""
        require_lit(lit)
        device = await portaudio.found("input", self._wanted)
        require_lit(lit)  # that took a while
        ring = portaudio.Ring(int(BACKLOG * portaudio.USUAL_RATE))
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        stream = await portaudio.opened(
            lambda rate: _stream(device, rate, ring, loop, news), device, "microphone"
        )
        try:
            resampler, rest = Resampler(int(stream.samplerate), RATE), np.zeros(0, np.float32)
            while True:
                samples = await self._next(stream, ring, news)
                rest = np.concatenate([rest, resampler.feed(samples).clip(-1, 1)])
                while len(rest) >= CHUNK:
                    require_lit(lit)
                    yield Sound(rest[:CHUNK])
                    rest = rest[CHUNK:]
        finally:
            await portaudio.closed(stream)

    async def _next(
        self, stream: Any, ring: portaudio.Ring, news: asyncio.Event
    ) -> NDArray[np.float32]:
        """What was heard since the last time, at the device's rate; waits for some."""
        while not ring.filled:
            news.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await news.wait()
            except TimeoutError as error:
                if not ring.filled:
                    raise _lost("gives no sound any more") from error
            if not ring.filled and not stream.active:
                raise _lost("is gone")
        if not ring.room:
            log.warning("microphone: sound was lost, nobody fetched it for %.0f s", BACKLOG)
        samples = np.empty(ring.filled, np.float32)
        ring.take(samples)
        return samples


def _stream(
    device: portaudio.Device,
    rate: int,
    ring: portaudio.Ring,
    loop: asyncio.AbstractEventLoop,
    news: asyncio.Event,
) -> Any:
    """Opens the device and starts it; blocks."""

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    def heard(samples: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        ring.put(samples[:, 0])
        wake()

    stream = portaudio.library().InputStream(
        device=device.index,
        samplerate=rate,
        channels=min(2, device.channels),
        dtype="float32",
        latency=portaudio.LATENCY,
        callback=heard,
        finished_callback=wake,
    )
    return portaudio.begun(stream)


def _lost(how: str) -> errors.DeviceLost:
    return errors.DeviceLost(f"The microphone {how}.", "Connect it again, or type instead.")
