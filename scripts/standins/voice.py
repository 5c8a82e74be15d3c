"""Make the voice stand-in: a Piper voice that is a table of short sounds and one Gather.

Takes    flite's voice kal16 (the `flite` command must be installed; CMU, a licence like BSD's): it
         says every sound of English once, at a level pitch, and the sounds are cut out.
Gives    standin.onnx and standin.onnx.json, which piper loads like a downloaded voice; 16 kHz.
         The sound is the same every time, and its length follows the phonemes and length_scale.
Refuses  languages other than English, and beauty. It can be understood, no more.

How the sounds join: at a level pitch of 100 Hz a period is one hop of 160 samples. The table holds
windows of two periods, centred on the pulses; half-overlapped and added they give back the sound,
and a window left out or said twice changes the length but not the pitch.

Takes a few seconds; nothing is trained. Licence: Apache-2.0.
"""

# ruff: noqa: RUF001  (phonetic letters look like others)

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

HERE = Path(__file__).parent
RATE = 16_000  # samples a second
HOP = 160  # samples: one period at 100 Hz, 10 ms

# espeak-ng's symbols, alone or as a cluster -> flite's sounds
SOUNDS = {
    "iː": "iy", "i": "iy", "ɪ": "ih", "ᵻ": "ih", "eɪ": "ey", "e": "ey", "ɛ": "eh", "æ": "ae",
    "ɑː": "aa", "ɑ": "aa", "a": "aa", "ɒ": "aa", "ɔː": "ao", "ɔ": "ao", "oʊ": "ow", "oː": "ao",
    "o": "ow", "ʊ": "uh", "uː": "uw", "u": "uw", "ʌ": "ah", "ə": "ax", "ɐ": "ax", "ɜː": "er",
    "ɜ": "er", "ɚ": "er", "ɝ": "er", "aɪ": "ay", "aʊ": "aw", "ɔɪ": "oy", "b": "b", "d": "d",
    "ɾ": "d", "f": "f", "ɡ": "g", "g": "g", "h": "hh", "dʒ": "jh", "k": "k", "l": "l", "m": "m",
    "n": "n", "ŋ": "ng", "p": "p", "ɹ": "r", "r": "r", "s": "s", "ʃ": "sh", "t": "t", "ʔ": "t",
    "tʃ": "ch", "θ": "th", "ð": "dh", "v": "v", "w": "w", "j": "y", "z": "z", "ʒ": "zh", "x": "k",
}  # fmt: skip
LONG = {"iy", "ey", "aa", "ao", "ow", "uw", "er", "ay", "aw", "oy", "ae"}  # vowels
SHORT = {"ax", "ih"}
VOWELS = LONG | SHORT | {"eh", "uh", "ah"}
STOPS = {"b", "d", "g", "k", "p", "t", "ch", "jh"}
PAUSES = {"^": 4, "$": 12, ",": 20, ";": 20, ":": 20, ".": 25, "?": 25, "!": 25}  # hops


def main() -> None:
    args = arguments()
    snippets = {sound: cut(sound) for sound in sorted(set(SOUNDS.values()))}
    print(f"{len(snippets)} sounds, {sum(len(s.windows) for s in snippets.values())} windows")
    ids = symbol_ids()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(build(ids, snippets), args.out)
    text = json.dumps(describe(ids), ensure_ascii=False, indent=1)
    Path(f"{args.out}.json").write_text(text + "\n")
    print(f"{args.out.name}: {args.out.stat().st_size} bytes")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    out = HERE.parents[1] / "tests/standins/voice/standin.onnx"
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args()


# -- cutting the sounds ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Snippet:
    """One sound of the table."""

    windows: np.ndarray
    """int16[n, 2 * HOP]: what is stored."""
    hops: int
    """How long it is said at length scale 1."""


def cut(sound: str) -> Snippet:
    """Let flite say the sound between neutral neighbours, and cut it out."""
    carrier = f"pau hh {sound} d ax pau" if sound in VOWELS else f"pau ax {sound} ax pau"
    samples, ends = say(carrier)
    which = 2  # pau, neighbour, the sound
    start, end = (int(ends[i] * RATE) for i in (which - 1, which))
    marks = pulses(samples, start, end)
    hann = np.hanning(2 * HOP + 1)[:-1]
    windows = np.stack([samples[mark - HOP : mark + HOP] * hann for mark in marks])
    return Snippet(np.round(windows).astype(np.int16), said_hops(sound, len(marks)))


def say(phones: str) -> tuple[np.ndarray, list[float]]:
    """flite's phones -> the sound, float64[n] at 16 kHz, and where each phone ends, in seconds."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        level = ["--setf", "int_f0_target_mean=100", "--setf", "int_f0_target_stddev=0"]
        slow = ["--setf", "duration_stretch=1.2"]
        command = ["flite", "-voice", "kal16", *level, *slow, "-psdur", "-p", phones, file.name]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        with wave.open(file.name) as heard:
            samples = np.frombuffer(heard.readframes(heard.getnframes()), np.int16)
    return samples.astype(np.float64), [float(word.rsplit(":", 1)[1]) for word in told.split()]


def pulses(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """Places a hop apart from start to end, shifted so that the loudest moments are centred."""
    loud = np.convolve(samples**2, np.hanning(41), "same")
    grid = np.arange(start, max(end - HOP // 2, start + 1), HOP)
    shift = max(range(HOP), key=lambda s: loud[grid + s].sum())
    return grid + shift


def said_hops(sound: str, stored: int) -> int:
    """The usual length of a sound in running speech: stops whole, vowels by kind."""
    if sound in LONG:
        return 13
    if sound in VOWELS:
        return 6 if sound in SHORT else 9
    return min(stored, 10 if sound in STOPS else 8)


# -- the files -------------------------------------------------------------------------------------


def symbol_ids() -> dict[str, list[int]]:
    """piper's own map, with our clusters behind it."""
    ids = {symbol: list(numbers) for symbol, numbers in DEFAULT_PHONEME_ID_MAP.items()}
    for symbol in SOUNDS:
        if symbol not in ids:
            ids[symbol] = [max(n for numbers in ids.values() for n in numbers) + 1]
    return ids


def describe(ids: dict[str, list[int]]) -> dict[str, object]:
    """What stands in the .json beside the model."""
    return {
        "audio": {"sample_rate": RATE, "quality": "standin"},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.0, "length_scale": 1.0, "noise_w": 0.0},
        "num_symbols": len(ids),
        "num_speakers": 1,
        "speaker_id_map": {},
        "hop_length": HOP,
        "language": {"code": "en_US"},
        "vowel_clusters": [list(symbol) for symbol in SOUNDS if len(symbol) > 1],
        "phoneme_id_map": ids,
    }


def build(ids: dict[str, list[int]], snippets: dict[str, Snippet]) -> onnx.ModelProto:
    """The graph: phoneme ids -> hops of each -> a row of the table for each hop -> the sound."""
    tables = lay_out(ids, snippets)
    constants = tables | {
        "zero": np.int64(0), "one": np.int64(1), "row": np.array([0], np.int64),
        "column": np.array([1], np.int64), "hop": np.array([HOP], np.int64),
        "two_hops": np.array([2 * HOP], np.int64), "flat": np.array([1, 1, -1], np.int64),
        "line": np.array([-1], np.int64), "half": np.float32(0.5),
        "rest": np.zeros((1, HOP), np.float32), "unit": np.float32(1 / 32768),
    }  # fmt: skip
    nodes = [
        # hops of each phoneme: its own, times length scale, but at least one where it has any
        node("Reshape", "input line", "all_ids"),
        node("Slice", "all_ids row input_lengths row", "ids"),
        node("Gather", "hops ids", "usual"),
        node("Gather", "scales one", "length_scale"),
        node("Mul", "usual length_scale", "scaled"),
        node("Round", "scaled", "rounded"),
        node("Sign", "usual", "least"),
        node("Max", "rounded least", "wanted"),
        node("Cast", "wanted", "long", to=TensorProto.INT64),
        node("CumSum", "long zero", "ends"),
        node("Sub", "ends long", "starts"),
        # for each hop: the phoneme it belongs to, and how far into that phoneme it lies
        node("ReduceMax", "ends row", "total", keepdims=0),
        node("Range", "zero total one", "ticks"),
        node("Unsqueeze", "ticks column", "ticks_down"),
        node("LessOrEqual", "ends ticks_down", "past"),
        node("Cast", "past", "past_counted", to=TensorProto.INT64),
        node("ReduceSum", "past_counted column", "owner", keepdims=0),
        node("Gather", "starts owner", "owner_start"),
        node("Gather", "wanted owner", "owner_hops"),
        node("Gather", "ids owner", "owner_id"),
        node("Sub", "ticks owner_start", "into"),
        node("Cast", "into", "into_float", to=TensorProto.FLOAT),
        node("Add", "into_float half", "into_middle"),
        node("Div", "into_middle owner_hops", "share"),
        # the row of the table, then half-overlap and add
        node("Gather", "stored owner_id", "owner_stored"),
        node("Mul", "share owner_stored", "stored_place"),
        node("Cast", "stored_place", "stored_row", to=TensorProto.INT64),
        node("Gather", "first owner_id", "owner_first"),
        node("Add", "owner_first stored_row", "rows"),
        node("Gather", "table rows", "windows", axis=0),
        node("Cast", "windows", "windows_float", to=TensorProto.FLOAT),
        node("Slice", "windows_float row hop column", "left"),
        node("Slice", "windows_float hop two_hops column", "right"),
        node("Concat", "left rest", "left_placed", axis=0),
        node("Concat", "rest right", "right_placed", axis=0),
        node("Add", "left_placed right_placed", "sum"),
        node("Mul", "sum unit", "quiet"),
        node("Reshape", "quiet flat", "output"),
    ]
    graph = helper.make_graph(
        nodes,
        "standin",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def node(kind: str, inputs: str, output: str, **how: int) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=output, **how)


def lay_out(ids: dict[str, list[int]], snippets: dict[str, Snippet]) -> dict[str, np.ndarray]:
    """For each id its usual hops, its first row and its number of rows; and the table.

    table int16[rows, 2 * HOP], whose row 0 is silence; the others are [256].
    """
    hops, stored = np.zeros(256, np.float32), np.ones(256, np.float32)
    first = np.zeros(256, np.int64)
    table, starts = [np.zeros((1, 2 * HOP), np.int16)], {}
    for sound, snippet in snippets.items():
        starts[sound] = sum(len(rows) for rows in table)
        table.append(snippet.windows)
    for symbol, pause in PAUSES.items():
        hops[ids[symbol][0]] = pause
    for symbol, sound in SOUNDS.items():
        (number,) = ids[symbol]
        hops[number] = 3 if symbol == "ɾ" else snippets[sound].hops
        first[number], stored[number] = starts[sound], len(snippets[sound].windows)
    return {"hops": hops, "first": first, "stored": stored, "table": np.concatenate(table)}


if __name__ == "__main__":
    main()
