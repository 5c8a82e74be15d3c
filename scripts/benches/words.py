"""Word errors of the built-in recogniser, biased and plain, in one run.

Command sentences are synthesised by flite's voices; recordings of people are read from
../shared/data/speech. Both readings come from the same decoder, so "ours" and "reference" differ
by the biased language model alone.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np

from assistant.turn import RATE, Sound
from models.sphinx import Sphinx

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = ROOT / "tests/scenarios/command_sentences.txt"
SPEECH = ROOT.parent / "shared/data/speech"
VOICES = ("slt", "rms", "awb", "kal16")

Row = dict[str, Any]
Heard = tuple[int, int, int]
"""Of one clip: its words, our word errors, those of the plain model."""


def rows(voices: Sequence[str] = VOICES, sentences: Sequence[str] | None = None) -> list[Row]:
    """Two rows: command sentences of synthetic voices, and recordings of people."""
    return [commands(voices, sentences or read_sentences(SENTENCES)), people()]


def commands(voices: Sequence[str], sentences: Sequence[str]) -> Row:
    """Word errors over `sentences` x `voices`, at most a third of the plain model's."""
    row = _row("word errors, commands held out", "ratio <= 1/3")
    if shutil.which("flite") is None:
        return row | {"reason": "flite is not installed (Debian package flite)"}
    with tempfile.TemporaryDirectory() as folder:
        clips = [
            (flite(text, voice, Path(folder) / f"{voice}-{number}.wav"), text)
            for voice in voices
            for number, text in enumerate(sentences)
        ]
        heard = hear_all(clips)
    by_voice = [heard[at : at + len(sentences)] for at in range(0, len(heard), len(sentences))]
    return row | _figures(heard, by_voice, lambda ours, plain: ours * 3 <= plain)


def people() -> Row:
    """Word errors on recorded English that is no command: not above the plain model's."""
    row = _row("word errors, plain English", "ratio <= 1")
    clips = [
        (sound, sound.with_suffix(".txt").read_text().strip())
        for sound in sorted(SPEECH.glob("*.*"))
        if sound.suffix in {".wav", ".flac"}
    ]
    if not clips:
        return row | {"reason": f"no recordings in {SPEECH.relative_to(ROOT.parent)}"}
    heard = hear_all(clips)
    return row | _figures(heard, [[clip] for clip in heard], lambda ours, plain: ours <= plain)


def _row(measure: str, goal: str) -> Row:
    return {
        "measure": measure, "ours": None, "reference": None, "ratio": None, "unit": "%",
        "spread": None, "runs": 0, "goal": goal, "holds": None,
    }  # fmt: skip


def _figures(
    heard: Sequence[Heard], groups: Iterable[Sequence[Heard]], good: Callable[[int, int], bool]
) -> Row:
    """The spread is the least and the most of ours over the groups (voices or recordings)."""
    words, ours, plain = (sum(column) for column in zip(*heard, strict=True))
    parts = [[sum(column) for column in zip(*group, strict=True)] for group in groups]
    shares = [round(100 * part[1] / part[0], 2) for part in parts]
    return {
        "ours": round(100 * ours / words, 2),
        "reference": round(100 * plain / words, 2),
        "ratio": round(ours / plain, 3) if plain else None,
        "spread": (min(shares), max(shares)),
        "runs": len(heard),
        "holds": good(ours, plain),
    }


def hear_all(clips: Sequence[tuple[Path, str]]) -> list[Heard]:
    """Hears each clip in one of two processes, each with its own recogniser."""
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(hear, *zip(*clips, strict=True), chunksize=8))


def hear(path: Path, text: str) -> Heard:
    ours, plain = _sphinx().both(load(path))
    return len(text.split()), word_errors(text, ours.text), word_errors(text, plain.text)


@functools.cache
def _sphinx() -> Sphinx:
    return Sphinx()


def read_sentences(path: Path) -> list[str]:
    """The lines of a file that are neither empty nor a comment."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def flite(text: str, voice: str, path: Path) -> Path:
    """Has flite say the text into a WAV file at `path`."""
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    return path


def load(path: Path) -> Sound:
    """Any sound file as mono at 16 kHz."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(path)) as container:
        frames = [*container.decode(audio=0), None]
        pieces = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return Sound(np.concatenate(pieces).astype(np.float32))


def word_errors(reference: str, heard: str) -> int:
    """Words put in, left out and exchanged: the Levenshtein distance in words."""
    words = heard.split()
    row = list(range(len(words) + 1))
    for i, word in enumerate(reference.split(), 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(words, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1]


if __name__ == "__main__":
    import json
    import sys

    sentences = read_sentences(Path(sys.argv[1])) if len(sys.argv) > 1 else None
    for row in rows(sentences=sentences):
        print(json.dumps(row))
