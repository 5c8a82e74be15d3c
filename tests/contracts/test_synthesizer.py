"""What every Synthesizer must do."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from assistant.child import Child
from assistant.engines import LaneSynthesizer
from assistant.flow import Here
from assistant.ports import Synthesizer
from models.espeak import Espeak
from models.scripted import ToneSynthesizer

from .conftest import STANDINS, MakeLane, Run, gathered, present

VOICE = STANDINS / "voice/standin.onnx"


@pytest.fixture(params=["tones", "espeak", "piper", "piper in a child"])
def voice(request: pytest.FixtureRequest, lane: MakeLane) -> Synthesizer:
    if request.param == "tones":
        return ToneSynthesizer()
    if request.param == "espeak":
        return LaneSynthesizer(lane(Here("espeak", Espeak)))
    file = str(present(VOICE))
    if request.param == "piper":
        from models.piper import Piper

        return LaneSynthesizer(lane(Here("piper", lambda: Piper(file))))
    return LaneSynthesizer(lane(Child("models.piper:Piper", {"file": file})))


def test_speech_is_sound(voice: Synthesizer, run: Run) -> None:
    sounds = run(gathered(voice.speak("It is half past nine.")))
    assert sounds
    for sound in sounds:
        assert sound.samples.dtype == np.float32
        assert sound.samples.ndim == 1
        assert len(sound.samples) > 0
        assert np.max(np.abs(sound.samples)) <= 1
    assert max(np.max(np.abs(sound.samples)) for sound in sounds) > 0.05
    assert len({sound.rate for sound in sounds}) == 1
    assert 8_000 <= sounds[0].rate <= 48_000


def test_longer_text_takes_longer(voice: Synthesizer, run: Run) -> None:
    short, long = (
        sum(sound.seconds for sound in run(gathered(voice.speak(text))))
        for text in ("Hello.", "Hello, your timer for the tea has been set to five minutes.")
    )
    assert 0.1 < short < long / 3


@pytest.mark.parametrize("text", ["", "   ", "\n", "...", "?! -", "\x00", "\x01"])
def test_nothing_to_say_makes_no_sound(voice: Synthesizer, run: Run, text: str) -> None:
    assert run(gathered(voice.speak(text))) == []


def test_a_voice_that_is_interrupted_speaks_again(voice: Synthesizer, run: Run) -> None:
    text = "The first sentence is here to be interrupted by someone. " * 10

    async def interrupted() -> None:
        async with aclosing(voice.speak(text)) as sounds:
            assert (await anext(sounds)).seconds > 0

    run(interrupted())
    assert run(gathered(voice.speak("All right.")))


def test_two_callers_are_both_served(voice: Synthesizer, run: Run) -> None:
    async def both() -> tuple[list[object], list[object]]:
        return await asyncio.gather(
            gathered(voice.speak("This is the first.")), gathered(voice.speak("And the second."))
        )

    first, second = run(both())
    assert first
    assert second


@pytest.mark.parametrize(
    ("marked", "bare"),
    [("[[h@l'oU]] you", "you"), ("\x01100S hello", "100S hello"), ("a\x00b c d", "a b c d")],
)
def test_text_is_never_markup(voice: Synthesizer, run: Run, marked: str, bare: str) -> None:
    """What looks like phonemes or a command is read out or left out; the rest is still said."""
    said = sum(sound.seconds for sound in run(gathered(voice.speak(marked))))
    alone = sum(sound.seconds for sound in run(gathered(voice.speak(bare))))
    assert said > 0.9 * alone
