"""The built-in recogniser: CMU PocketSphinx with the US English model that its wheel holds.

Takes mono sound at 16 kHz, gives a Transcript in lower case. It decodes twice: with the general
language model, and with one made from the phrases written for this assistant (builtin/phrases.txt,
made into builtin/phrases.arpa by scripts/bias). The biased reading is taken where its path scores
better, so that commands are heard well and other English no worse than before.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

MARGIN = 0.02
"""The biased reading is taken where ln(its path score / the general one's) a second of sound is
above this. On the tuning sentences 0.015 to 0.03 did alike; people reading English lie below
0.005."""
CERTAIN = 0.07
"""The margin a second at which doubt has fallen to 1/e: where it is small some 18% of the words
were wrong, where it is large under 1%."""


class Reading(NamedTuple):
    """What one language model made of a sound."""

    text: str
    score: float
    """Of the whole path, sound and words; comparable between readings of the same sound."""
    posterior: float
    """Of this path among those in the lattice, 0 to 1."""


class Sphinx:
    """`biased=False` decodes with the general model alone. Loads in the constructor, in under 1 s.

    Raises EngineMissing without the package, ModelMissing or ModelDamaged for the files of ours.

    The confidence is the posterior a word, posterior ** (1 / words), and for a biased reading
    1 - (1 - that) * exp(-margin / CERTAIN); 0 for no words.
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
        self._general = self._decoder.current_search()
        if biased:
            self._bias()

    def _bias(self) -> None:
        for path in (PHRASES, MODEL):
            if not path.is_file():
                raise ModelMissing(f"The file {path} is missing.", "Install the assistant again.")
        try:
            sounds = Phrases.read(PHRASES.read_text(encoding="utf-8")).sounds
        except ValueError as error:
            raise ModelDamaged(f"{PHRASES}: {error}.", "Install the assistant again.") from error
        try:
            for word, phones in sounds.items():
                self._decoder.add_word(word, phones, True)
            self._decoder.add_lm_file("phrases", str(MODEL))
        except RuntimeError as error:
            raise ModelDamaged(
                f"The recogniser cannot use {MODEL}.", "Run scripts/bias to make it again."
            ) from error

    def transcribe(self, sound: Sound) -> Transcript:
        """What was said in mono sound at 16 kHz. Raises EngineFailed at another rate."""
        return self.both(sound)[0]

    def both(self, sound: Sound) -> tuple[Transcript, Transcript]:
        """What `transcribe` gives, and what the general model alone makes of the sound."""
        if sound.rate != RATE:
            raise EngineFailed(f"The recogniser takes {RATE} Hz, not {sound.rate}.")
        pcm = _pcm(sound.samples)
        if not any(pcm):  # digital silence, in which the decoder would find a word
            return Transcript("", 0.0, self.name), Transcript("", 0.0, "pocketsphinx")
        general = self._decode(pcm, self._general)
        plain = Transcript(general.text, _a_word(general), "pocketsphinx")
        if not self._biased:
            return plain, plain
        biased = self._decode(pcm, "phrases")
        margin = math.log(biased.score / general.score) / sound.seconds
        if not biased.text or margin <= MARGIN:
            return Transcript(plain.text, plain.confidence, self.name), plain
        confidence = 1 - (1 - _a_word(biased)) * math.exp(-margin / CERTAIN)
        return Transcript(biased.text, confidence, self.name), plain

    def _decode(self, pcm: bytes, model: str) -> Reading:
        """Decodes the sound as one utterance: nothing of an earlier one is carried over."""
        try:
            self._decoder.activate_search(model)
            self._decoder.reinit_feat()  # forgets the noise that it heard before
            self._decoder.start_utt()
            self._decoder.process_raw(pcm, full_utt=True)
            self._decoder.end_utt()
        except RuntimeError as error:
            raise EngineFailed("The recogniser could not decode the sound.") from error
        found = self._decoder.hyp()
        if found is None or found.score <= 0:  # too short for a path, or a score beyond a float
            return Reading("", 1.0, 0.0)
        return Reading(found.hypstr, found.score, min(1.0, found.prob))


def _a_word(reading: Reading) -> float:
    """The posterior as a geometric mean over the words, so that long sentences are not punished."""
    words = len(reading.text.split())
    return float(reading.posterior ** (1 / words)) if words else 0.0


def _pcm(samples: NDArray[np.float32]) -> bytes:
    """The samples as 16-bit integers, as the decoder takes them."""
    import numpy as np

    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
