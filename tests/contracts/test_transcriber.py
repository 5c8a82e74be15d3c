"""What every Transcriber must do."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from assistant.child import Child
from assistant.engines import LaneTranscriber
from assistant.ports import Transcriber
from assistant.turn import RATE, Sound
from models.scripted import ScriptedTranscriber

from .conftest import STANDINS, MakeLane, Run, present

FOLDER = STANDINS / "whisper"


@pytest.fixture(params=["scripted", "sphinx", "whisper"])
def recogniser(request: pytest.FixtureRequest, lane: MakeLane) -> Transcriber:
    if request.param == "scripted":
        return ScriptedTranscriber(["what does this sign say"] * 3)
    if request.param == "sphinx":
        if find_spec("models.sphinx") is None:
            pytest.skip("models/sphinx.py is not there")
        return LaneTranscriber(lane(Child("models.sphinx:Sphinx")))
    present(FOLDER / "model.bin")
    return LaneTranscriber(lane(Child("models.whisper:Whisper", {"folder": str(FOLDER)})))


def test_speech_has_words(recogniser: Transcriber, run: Run, speech: Sound) -> None:
    heard = run(recogniser.transcribe(speech))
    assert heard.text == heard.text.strip() != ""
    assert 0 < heard.confidence <= 1
    assert heard.engine


@pytest.mark.parametrize("seconds", [0, 0.01, 1, 3])
def test_silence_has_none(recogniser: Transcriber, run: Run, seconds: float) -> None:
    heard = run(recogniser.transcribe(Sound(np.zeros(int(seconds * RATE), np.float32))))
    assert heard.text == ""
    assert 0 <= heard.confidence <= 1


def test_it_hears_the_same_twice_and_leaves_the_sound_alone(
    recogniser: Transcriber, run: Run, speech: Sound
) -> None:
    before = speech.samples.copy()
    assert run(recogniser.transcribe(speech)) == run(recogniser.transcribe(speech))
    np.testing.assert_array_equal(speech.samples, before)
