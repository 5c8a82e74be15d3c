"""The bare engines, one after another with nothing between them: what every turn is compared to.

As a command: `python -m scripts.benches.bare SOUND [PICTURE]`, or `--say WORDS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPLY = "It is ten past four."


class Bare:
    """The built-in engines, loaded at their first use, on as many threads as in a turn."""

    def __init__(self, threads: int = 1) -> None:
        from models.espeak import Espeak

        self._threads = threads
        self._espeak = Espeak()
        self._ears: tuple[object, object] | None = None
        self._reader: object | None = None

    def say(self, words: str) -> None:
        for _ in self._espeak.speak(words):
            pass

    def hear(self, path: Path) -> None:
        from hardware import recording
        from models.silero import Silero
        from models.sphinx import Sphinx

        silero, sphinx = self._ears = self._ears or (Silero(), Sphinx())
        sound = recording.decode(path, 60.0)
        silero.probabilities(sound)
        sphinx.transcribe(sound)

    def read(self, path: Path) -> str:
        from hardware import picture
        from models.ocr import Rapid

        self._reader = self._reader or Rapid(self._threads)
        frame = picture.decode(path)
        return " ".join(line.text for line in self._reader.read(frame))

    def turn(self, sound: Path, image: Path | None = None) -> None:
        self.hear(sound)
        self.say(self.read(image) if image else REPLY)


if __name__ == "__main__":
    if sys.argv[1] == "--say":
        Bare().say(sys.argv[2])
    else:
        Bare().turn(*(Path(each) for each in sys.argv[1:]))
