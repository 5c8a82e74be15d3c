"""A chosen voice: takes text, gives sound at the voice's own rate, a sentence at a time.

A Piper voice (VITS, arXiv 2106.06103) as its .onnx file with a .onnx.json beside it, run by
piper-tts (GPL-3.0-or-later) in a session of our own, so that it keeps to its share of the cores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant.errors import ModelDamaged, ModelMissing
from assistant.turn import Sound
from models import installed
from models.espeak import LOCK, plain

PHONEMES = ("espeak", "text")
"""Ways of a voice to turn text into phonemes. The others need packages or downloads."""

_MEND = "Fetch the voice again, or remove it from the models folder."


class Piper:
    """The voice in `file`, an .onnx; speed 2 speaks twice as fast as speed 1.

    Raises what `check` raises, and EngineMissing without piper-tts.
    """

    name = "piper"

    def __init__(self, file: str, speed: float = 1.0, threads: int = 1) -> None:
        check(file)
        try:
            import onnxruntime
            from piper import PiperVoice, SynthesisConfig
            from piper.config import PiperConfig
        except ImportError as error:
            raise installed.unusable("piper-tts") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        try:
            config = PiperConfig.from_dict(json.loads(_settings(file).read_text("utf-8")))
            session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
            self._voice = PiperVoice(session=session, config=config)
            self._style = SynthesisConfig(length_scale=config.length_scale / speed)
        except Exception as error:  # each library has exceptions of its own for a damaged file
            raise ModelDamaged(f"The voice {file} cannot be loaded.", _MEND) from error

    def speak(self, text: str) -> Iterator[Sound]:
        """Sounds of float32 samples, in order. Text without a letter or digit gives none."""
        # Piper takes [[...]] for phonemes; text is data.
        words = plain(text).replace("[[", "[ [")
        if not any(sign.isalnum() for sign in words):
            return
        with LOCK:  # the phonemes come from the library that models/espeak.py uses too
            sentences = self._voice.phonemize(words)
        for phonemes in filter(None, sentences):
            numbers = self._voice.phonemes_to_ids(phonemes)
            samples = np.asarray(self._voice.phoneme_ids_to_audio(numbers, self._style))
            loudest = float(np.abs(samples).max(initial=0.0))
            if loudest > 0:  # every sentence as loud as the last, as in Piper's own synthesize()
                yield Sound((samples / loudest).astype(np.float32), self._voice.config.sample_rate)


def check(file: str | Path) -> None:
    """A quick look at a voice's two files. Raises ModelMissing or ModelDamaged."""
    for part in (Path(file), _settings(file)):
        if not part.is_file():
            raise ModelMissing(f"The voice's file {part} is missing.", _MEND)
        if part.stat().st_size == 0:
            raise ModelDamaged(f"The voice's file {part} is empty.", _MEND)
    settings = _settings(file)
    try:
        content = json.loads(settings.read_text("utf-8"))
        rate, phonemes = content["audio"]["sample_rate"], content.get("phoneme_type", "espeak")
        usable = isinstance(rate, int) and rate > 0 and isinstance(content["phoneme_id_map"], dict)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"The voice's settings {settings} are damaged.", _MEND) from error
    if not usable:
        raise ModelDamaged(f"The voice's settings {settings} are damaged.", _MEND)
    if phonemes not in PHONEMES:
        raise ModelDamaged(
            f"The voice {file} needs phonemes of the kind {phonemes}.",
            "Choose a voice that uses espeak's.",
        )


def _settings(file: str | Path) -> Path:
    return Path(f"{file}.json")
