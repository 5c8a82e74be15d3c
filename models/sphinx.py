"""The built-in recogniser: CMU PocketSphinx with the US English model that its wheel holds.

Takes mono sound at 16 kHz, gives a Transcript. It decodes twice: with the general language model
and with one made from the phrases written for this assistant (builtin/phrases.txt, made into
builtin/phrases.arpa by scripts/bias). The biased reading is taken where its path scores clearly
better, so that commands are heard well and other English no worse than before.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import EngineFailed, EngineMissing, ModelDamaged, ModelMissing
from assistant.ports import Transcript
from assistant.turn import RATE, Sound
from models.phrases import Phrases

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUILTIN = Path(__file__).parent / "builtin"
PHRASES = BUILTIN / "phrases.txt"
MODEL = BUILTIN / "phrases.arpa"

MARGIN = 0.1
"""The biased reading is taken where ln(its path score / the general one's) is above this."""


class Sphinx:
    """`biased=False` decodes with the general model alone. Loads in the constructor.

    Raises EngineMissing without the package, ModelMissing or ModelDamaged for the files of ours.
    """

    def __init__(self, biased: bool = True) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise EngineMissing(
                "The package pocketsphinx is not installed.", "Run scripts/demo again."
            ) from error
        self.name = "pocketsphinx, biased" if biased else "pocketsphinx"
        self._biased = biased
        self._decoder = pocketsphinx.Decoder(loglevel="FATAL")
        if biased:
            self._bias()

    def _bias(self) -> None:
        for path in (PHRASES, MODEL):
            if not path.is_file():
                raise ModelMissing(f"The file {path} is missing.", "Install the assistant again.")
        try:
            for word, sounds in Phrases.read(PHRASES.read_text()).sounds.items():
                self._decoder.add_word(word, sounds, True)
            self._decoder.add_lm_file("phrases", str(MODEL))
        except (RuntimeError, ValueError) as error:
            raise ModelDamaged(
                f"The recogniser cannot use {MODEL}.", "Run scripts/bias to make it again."
            ) from error

    def transcribe(self, sound: Sound) -> Transcript:
        """What was said in mono sound at 16 kHz."""
        if sound.rate != RATE:
            raise EngineFailed(f"The recogniser takes {RATE} Hz, not {sound.rate}.")
        pcm = _pcm(sound.samples)
        if not pcm:
            return Transcript("", 0.0, self.name)
        text, score, confidence = self._decode(pcm, None)
        if self._biased:
            other, higher, posterior = self._decode(pcm, "phrases")
            if other and math.log(higher / score) > MARGIN:
                text, confidence = other, 0.5 + 0.5 * posterior
        return Transcript(text, confidence, self.name)

    def _decode(self, pcm: bytes, search: str | None) -> tuple[str, float, float]:
        self._decoder.activate_search(search)
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        if hypothesis is None:
            return "", 1.0, 0.0
        return hypothesis.hypstr, hypothesis.score, min(1.0, hypothesis.prob)


def _pcm(samples: NDArray[np.float32]) -> bytes:
    """The samples as 16-bit integers, as the decoder takes them."""
    import numpy as np

    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
