"""Sound to utterance: from the microphone while a key is held open, and the speech in a sound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from assistant.errors import NoSpeech
from assistant.ports import Light, Microphone, VoiceActivity
from assistant.turn import RATE, Sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 512 / RATE
"""Seconds of sound behind one probability of voice activity."""
LEAST = 3
"""Windows. Less speech than this, about a tenth of a second, is a click and no word."""
MARGIN = 0.25
"""Seconds kept around the speech, so that soft first and last sounds are not cut."""


async def utterance(
    microphone: Microphone, light: Light, end: asyncio.Event, longest: float
) -> Sound:
    """What the microphone hears until `end` is set, at most `longest` seconds. The light is on
    before the microphone opens and until it is closed."""
    import numpy as np

    chunks: list[NDArray[np.float32]] = []
    heard = 0.0
    with light.recording() as lit:
        async with aclosing(microphone.listen(lit)) as sounds:
            async for sound in sounds:
                chunks.append(sound.samples)
                heard += sound.seconds
                if end.is_set() or heard >= longest:
                    break
    return Sound(np.concatenate(chunks) if chunks else np.zeros(0, np.float32))


async def speech_in(sound: Sound, activity: VoiceActivity, threshold: float) -> Sound:
    """The part of the sound from the first speech to the last. Raises NoSpeech."""
    spans = speech_windows(await activity.probabilities(sound), threshold)
    if not spans:
        raise NoSpeech("I heard no speech.", "Speak closer to the microphone.")
    return sound.part(spans[0] * WINDOW - MARGIN, (spans[-1] + 1) * WINDOW + MARGIN)


def speech_windows(
    probabilities: Sequence[float] | NDArray[np.float32], threshold: float
) -> list[int]:
    """Indices of the windows in runs of speech at least LEAST long."""
    runs: list[list[int]] = [[]]
    for index, probability in enumerate(probabilities):
        if probability >= threshold:
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    return [index for run in runs if len(run) >= LEAST for index in run]
