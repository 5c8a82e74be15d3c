"""The built-in recogniser and the phrases it is biased with."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import EngineFailed, ModelDamaged, ModelMissing
from assistant.turn import Sound
from models import sphinx
from models.phrases import Phrases, arpa, counts, mixture
from models.sphinx import MODEL, PHRASES, Sphinx
from scripts.benches.words import (
    SENTENCES,
    SPEECH,
    VOICES,
    flite,
    load,
    read_sentences,
    word_errors,
)

spoken = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")


@cache
def recogniser() -> Sphinx:
    return Sphinx()


@cache
def phrases() -> Phrases:
    return Phrases.read(PHRASES.read_text(encoding="utf-8"))


def test_the_phrases_are_many_and_each_is_written_once() -> None:
    assert len(phrases().lines) > 1000
    assert len(set(phrases().lines)) == len(phrases().lines)


@pytest.mark.parametrize("line", ["What Time", "set <nothing>", "time: 5", "stop!", "<x> stop ="])
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2|slot"):
        Phrases.read(f"stop\n{line}\n")


def test_the_language_model_was_made_of_the_phrases_as_they_are() -> None:
    digest = hashlib.sha256(PHRASES.read_bytes()).hexdigest()
    assert digest in MODEL.read_text(encoding="utf-8"), "run scripts/bias"


def test_every_word_of_the_phrases_has_sounds() -> None:
    decoder = recogniser()._decoder
    assert [word for word in sorted(phrases().words) if decoder.lookup_word(word) is None] == []


def test_no_phrase_says_a_held_out_sentence() -> None:
    held_out = read_sentences(SENTENCES)
    assert len(set(held_out)) == 60
    assert [sentence for sentence in held_out if phrases().says(sentence)] == []


def test_says_fills_slots_in() -> None:
    few = Phrases.read("<n> = two | <t> | \n<t> = ten | ten one\nset <n> timers")
    assert few.says("set ten one timers")
    assert few.says("set timers")
    assert not few.says("set one timers")
    assert not few.says("set ten timers now")


def test_the_mixture_sums_to_one() -> None:
    few = Phrases.read("<n> = two | ten\nset <n> timers\nstop\nset it")
    words = sorted(few.words)
    p = mixture(counts(few, few.words), lambda word, *history: 1 / (len(words) + 1), words)
    assert sum(q for gram, q in p.items() if len(gram) == 1) == pytest.approx(1)
    for history in {gram[:-1] for gram in p if len(gram) > 1}:
        assert sum(q for gram, q in p.items() if gram[:-1] == history) < 1
    assert p["set", "two"] == pytest.approx(p["set", "ten"])
    assert p["<s>", "set"] > p["<s>", "stop"]
    assert f"ngram 1={len(words) + 2}" in arpa(p)


def test_word_errors() -> None:
    assert word_errors("set a timer", "set a timer") == 0
    assert word_errors("set a timer", "") == 3
    assert word_errors("set a timer", "said the big timer") == 3


@spoken
@pytest.mark.parametrize("voice", VOICES)
def test_the_questions_of_the_demo_are_heard_word_for_word(voice: str, tmp_path: Path) -> None:
    for text in ("what time is it", "what does this sign say", "set a timer for five minutes"):
        heard = recogniser().transcribe(load(flite(text, voice, tmp_path / "x.wav")))
        assert heard.text == text
        assert heard.confidence > 0.6


@spoken
def test_a_command_is_read_with_the_phrases_and_the_same_each_time(tmp_path: Path) -> None:
    sound = load(flite("what does this sign say", "slt", tmp_path / "x.wav"))
    ours, plain = recogniser().both(sound)
    assert ours.text == "what does this sign say"
    assert plain.text != ours.text, "the general model alone does not hear it"
    recogniser().transcribe(load(flite("stop", "rms", tmp_path / "y.wav")))
    assert recogniser().both(sound) == (ours, plain)


@spoken
def test_english_that_is_no_command_is_read_with_the_general_model(tmp_path: Path) -> None:
    text = "most of the money was lost before the war began"
    ours, plain = recogniser().both(load(flite(text, "slt", tmp_path / "x.wav")))
    assert ours.text == plain.text
    assert word_errors(text, ours.text) <= 3


@spoken
def test_without_bias_it_reads_as_the_general_model_beside_it(tmp_path: Path) -> None:
    sound = load(flite("set a timer for five minutes", "rms", tmp_path / "x.wav"))
    assert Sphinx(biased=False).transcribe(sound) == recogniser().both(sound)[1]


@pytest.mark.data
def test_recordings_of_people_are_read_with_the_general_model() -> None:
    files = sorted(SPEECH.glob("harvard*.wav"))
    if not files:
        pytest.skip(f"no recordings in {SPEECH.name}")
    for file in files:
        ours, plain = recogniser().both(load(file))
        text = file.with_suffix(".txt").read_text()
        assert word_errors(text, ours.text) <= word_errors(text, plain.text)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0, 3.0])
def test_silence_is_no_words(seconds: float) -> None:
    heard = recogniser().transcribe(Sound(np.zeros(int(16_000 * seconds), np.float32)))
    assert (heard.text, heard.confidence) == ("", 0)


@pytest.mark.parametrize("loudness", [0.001, 0.05, 0.3])
def test_noise_is_no_words_or_doubtful_ones(loudness: float) -> None:
    noise = np.random.default_rng(1).normal(0, loudness, 32_000).astype(np.float32)
    assert recogniser().transcribe(Sound(noise)).confidence < 0.5


def test_another_rate_is_refused() -> None:
    with pytest.raises(EngineFailed, match="16000"):
        recogniser().transcribe(Sound(np.zeros(100, np.float32), 44_100))


def test_a_missing_and_a_damaged_model_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "phrases.arpa"
    monkeypatch.setattr(sphinx, "MODEL", damaged)
    with pytest.raises(ModelMissing, match=str(damaged)):
        Sphinx()
    damaged.write_text("this is no language model")
    with pytest.raises(ModelDamaged, match=str(damaged)):
        Sphinx()
