"""What every VoiceActivity must do."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.child import Child
from assistant.engines import LaneVoiceActivity
from assistant.flow import Here
from assistant.ports import VoiceActivity
from assistant.turn import Sound
from models.scripted import EnergyVoiceActivity
from models.silero import Silero

from .conftest import MakeLane, Run


@pytest.fixture(params=["energy", "silero", "silero in a child"])
def activity(request: pytest.FixtureRequest, lane: MakeLane) -> VoiceActivity:
    if request.param == "energy":
        return EnergyVoiceActivity()
    if request.param == "silero":
        return LaneVoiceActivity(lane(Here("silero", Silero)))
    return LaneVoiceActivity(lane(Child("models.silero:Silero")))


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513, 16_000, 600_000])
def test_one_probability_for_each_32_ms(activity: VoiceActivity, run: Run, samples: int) -> None:
    found = run(activity.probabilities(Sound(np.zeros(samples, np.float32))))
    assert found.shape == (-(-samples // 512),)
    assert found.dtype == np.float32


def test_speech_is_likelier_than_silence(
    activity: VoiceActivity, run: Run, speech: Sound, silence: Sound
) -> None:
    spoken = run(activity.probabilities(speech))
    silent = run(activity.probabilities(silence))
    assert np.mean(spoken > 0.5) > 0.5
    assert np.max(silent) < 0.5


def test_it_tells_where_the_speech_is(
    activity: VoiceActivity, run: Run, speech: Sound, silence: Sound
) -> None:
    found = run(activity.probabilities(Sound(np.concatenate([silence.samples, speech.samples]))))
    before = len(silence.samples) // 512
    assert np.max(found[:before]) < 0.5 < np.max(found[before:])


@pytest.mark.parametrize("loudness", [1e-6, 0.1, 1.0])
def test_values_are_probabilities(activity: VoiceActivity, run: Run, loudness: float) -> None:
    noise = np.random.default_rng(1).uniform(-loudness, loudness, 20_000).astype(np.float32)
    found = run(activity.probabilities(Sound(noise)))
    assert np.all((found >= 0) & (found <= 1))


def test_the_same_sound_gives_the_same_and_stays_as_it_was(
    activity: VoiceActivity, run: Run, speech: Sound
) -> None:
    before = speech.samples.copy()
    first, second = run(activity.probabilities(speech)), run(activity.probabilities(speech))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(speech.samples, before)
