"""A chosen recogniser: takes mono sound at 16 kHz, gives its transcript.

Whisper (arXiv 2212.04356) in CTranslate2's form, run by faster-whisper on the CPU in int8. The
folder is the whole model: every file is looked for first, because faster-whisper would ask a model
hub for a tokenizer that is missing.
"""

from __future__ import annotations

import json
import struct
from math import exp, prod
from pathlib import Path

import numpy as np

from assistant.errors import Defect, ModelDamaged, ModelMissing
from assistant.ports import Transcript
from assistant.turn import RATE, Sound
from models import installed

FILES = ("model.bin", "config.json", "tokenizer.json")
"""Besides vocabulary.json or vocabulary.txt."""
WINDOW_SECONDS = 30
"""What Whisper hears at once. Longer sound needs its timestamps, to go on where a segment ended."""
SILENCE = 1e-4
"""Samples that stay below this hold nothing: -80 dB, less than a step of a noisy microphone."""
LEAST_SPEECH = 0.4
"""A segment less likely to be speech is left out, however sure its words: Whisper invents some in
silence. (faster-whisper alone keeps those with a high probability.)"""
MOST_REPEATED = 2.4
"""Above this compression ratio a text goes round in circles; the Whisper paper's own threshold."""

_MEND = "Fetch the model again, or remove it from the models folder."


class Whisper:
    """A Whisper model in `folder`, for one language, on so many threads.

    Raises what `check` raises, and EngineMissing without faster-whisper.
    """

    name = "whisper"

    def __init__(self, folder: str, language: str = "en", threads: int = 1) -> None:
        check(folder)
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise installed.unusable("faster-whisper") from error
        try:
            self._model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=threads,
                local_files_only=True,
            )
        except Exception as error:  # CTranslate2 and tokenizers have no class for it
            raise ModelDamaged(f"The Whisper model {folder} cannot be loaded.", _MEND) from error
        self._language = language if self._model.model.is_multilingual else "en"

    def transcribe(self, sound: Sound) -> Transcript:
        """The words, and exp(mean log probability of a token) as confidence. Silence: no words."""
        if sound.rate != RATE:
            raise Defect(f"Whisper was given sound at {sound.rate} Hz, not {RATE}.")
        if np.abs(sound.samples).max(initial=0.0) < SILENCE:
            return Transcript("", 0.0, self.name)
        segments, _ = self._model.transcribe(
            np.array(sound.samples, np.float32),
            language=self._language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=sound.seconds <= WINDOW_SECONDS,
        )
        kept = [  # the generator is lazy: this line is where the work is done
            segment
            for segment in segments
            if segment.text.strip()
            and segment.no_speech_prob <= 1 - LEAST_SPEECH
            and segment.compression_ratio <= MOST_REPEATED
        ]
        if not kept:
            return Transcript("", 0.0, self.name)
        weights = [max(1, len(segment.tokens)) for segment in kept]
        likely = float(np.average([segment.avg_logprob for segment in kept], weights=weights))
        text = " ".join(segment.text.strip() for segment in kept)
        return Transcript(text, min(1.0, exp(likely)), self.name)


def check(folder: str | Path) -> None:
    """A quick look that the folder holds a whole Whisper model; reads no weights.

    Raises ModelMissing for an absent file, ModelDamaged for one that is cut off or something else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelMissing(f"There is no Whisper model in {folder}.", _MEND)
    vocabularies = [folder / f"vocabulary.{kind}" for kind in ("json", "txt")]
    vocabulary = next((file for file in vocabularies if file.is_file()), vocabularies[0])
    for file in [*(folder / name for name in FILES), vocabulary]:
        if not file.is_file():
            raise ModelMissing(f"The Whisper model lacks its file {file}.", _MEND)
        try:
            _check_weights(file) if file.name == "model.bin" else _check_text(file)
        except (OSError, ValueError, struct.error) as error:
            raise ModelDamaged(f"The Whisper model's file {file} is damaged.", _MEND) from error


def _check_text(file: Path) -> None:
    text = file.read_text("utf-8")
    if not text.strip():
        raise ValueError("empty")
    if file.suffix == ".json":
        json.loads(text)


def _check_weights(file: Path) -> None:
    """Walks CTranslate2's list of variables (its model_spec.py writes it), without their data."""
    size = file.stat().st_size
    with file.open("rb") as stream:

        def number(form: str) -> int:
            return int(struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))[0])

        def name() -> bytes:
            return stream.read(number("H")).rstrip(b"\0")

        version, spec, _, variables = number("I"), name(), number("I"), number("I")
        if version < 4 or spec != b"WhisperSpec":
            raise ValueError("not a Whisper model")
        for _ in range(variables):
            name()
            shape = [number("I") for _ in range(number("B"))]
            _, length = number("B"), number("I")
            end = stream.tell() + length
            if end > size or length < prod(shape):
                raise ValueError("cut off")
            stream.seek(end)
        for _ in range(2 * number("I")):  # pairs of names that mean the same variable
            name()
        if stream.read(1):
            raise ValueError("longer than its list of variables")
