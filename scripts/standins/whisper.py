"""Train the Whisper stand-in: a tiny model of Whisper's own shape that knows phrases.txt by heart.

Takes    phrases.txt beside this file and flite's voices slt, rms, awb and kal16 (the `flite`
         command must be installed); with --piper, also a Piper voice as a fifth speaker.
Gives    model.bin, config.json, vocabulary.json and tokenizer.json, which faster-whisper loads
         like a downloaded model (CTranslate2, int8).
Refuses  nothing it hears: a phrase it does not know becomes one it knows. It is there to test the
         code around a recogniser, not the recogniser.

What makes it learn fast: beside its task it must name the phrase from the mean of what the encoder
heard (a part that is not saved), and it starts with clean clips, noise and silence coming later.

Takes about 20 minutes on one core. Seeded: the same machine gives the same weights.
Licence: Apache-2.0, this script and the weights it makes.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import tempfile
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from ctranslate2.specs import whisper_spec
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

HERE = Path(__file__).parent
VOICES = {"slt": 170.0, "rms": 95.0, "awb": 130.0, "kal16": 105.0}  # name: its usual pitch, Hz
RATE = 16_000  # samples a second, everywhere in this file
HOP = 160  # samples from one mel frame to the next
WIDTH, HEADS, LAYERS = 96, 4, 2
TEXT_POSITIONS, FRAMES = 448, 3000  # as in every Whisper
IGNORED = -100  # a label that costs nothing


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)

    phrases = read_phrases(args.phrases)
    takes = record(phrases, args.takes, args.held_out, rng)
    if args.piper:
        takes += record_piper(phrases, args.piper)
    print(f"{len(takes)} takes of {len(phrases)} phrases", flush=True)

    tokenizer = make_tokenizer(phrases)
    model = Whisper(tokenizer.get_vocab_size(), len(phrases) + 1)
    if args.weights and args.weights.exists():
        model.load_state_dict(torch.load(args.weights))
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, tokenizer, phrases, [t for t in takes if not t.held_out], args, rng)
    keep(model, tokenizer, args)
    measure(args.out, takes, rng)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phrases", type=Path, default=HERE / "phrases.txt")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "tests/standins/whisper")
    parser.add_argument("--piper", type=Path, help="a Piper voice (.onnx) to learn as well")
    parser.add_argument("--takes", type=int, default=9, help="training takes a voice and phrase")
    parser.add_argument("--held-out", type=int, default=2, help="takes kept for measuring")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--peak", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--weights", type=Path, help="go on from this file, and write it again")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep-every", type=int, default=0, help="save a copy every N steps")
    return parser.parse_args()


# -- the spoken phrases ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Take:
    """One phrase spoken once."""

    text: str
    voice: str
    kind: str
    """"plain" (the voice as it comes), "varied" (another pace and pitch) or "held out"."""
    sound: np.ndarray
    """float32[n] at 16 kHz, within -1..1."""

    @property
    def held_out(self) -> bool:
        return self.kind == "held out"


def read_phrases(path: Path) -> list[str]:
    """One phrase a line; empty lines and lines that begin with # are left out."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def record(phrases: list[str], takes: int, held_out: int, rng: np.random.Generator) -> list[Take]:
    """Let every flite voice say every phrase: once plainly, then at other paces and pitches."""
    jobs: list[tuple[str, str, str, float, float]] = []
    for voice in VOICES:
        for phrase in phrases:
            jobs.append((phrase, voice, "plain", 1.0, 1.0))
            for take in range(1, takes + held_out):
                kind = "varied" if take < takes else "held out"
                jobs.append((phrase, voice, kind, rng.uniform(0.82, 1.25), rng.uniform(0.85, 1.2)))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: speak(*job), jobs))


def speak(phrase: str, voice: str, kind: str, stretch: float, pitch: float) -> Take:
    """Have flite say the phrase, `stretch` times as long and `pitch` times as high as usual."""
    how = [] if kind == "plain" else ["--setf", f"duration_stretch={stretch:.3f}"]
    if kind != "plain":
        how += ["--setf", f"int_f0_target_mean={VOICES[voice] * pitch:.1f}"]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["flite", "-voice", voice, *how, "-t", phrase, "-o", file.name]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(file.name) as sound:
            assert sound.getframerate() == RATE, f"{voice} speaks at {sound.getframerate()} Hz"
            samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    return Take(phrase, voice, kind, samples.astype(np.float32) / 32768)


def record_piper(phrases: list[str], path: Path) -> list[Take]:
    """Let a Piper voice say every phrase, plainly and at other lengths."""
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(path)
    lengths = {
        "plain": [1.0],
        "varied": [0.8, 0.9, 0.95, 1.05, 1.1, 1.25],
        "held out": [0.87, 1.15],
    }
    takes = []
    for phrase in phrases:
        for kind, length in ((k, x) for k, xs in lengths.items() for x in xs):
            chunks = list(voice.synthesize(phrase, SynthesisConfig(length_scale=length)))
            sound = np.concatenate([chunk.audio_float_array for chunk in chunks])
            sound = resample(sound.astype(np.float32), chunks[0].sample_rate, RATE)
            takes.append(Take(phrase, "piper", kind, sound))
    return takes


def resample(sound: np.ndarray, rate: float, wanted: float) -> np.ndarray:
    """float32[n] at `rate` -> float32[n * wanted / rate], by straight lines between samples."""
    if rate == wanted:
        return sound
    places = np.arange(0, len(sound) - 1, rate / wanted)
    return np.interp(places, np.arange(len(sound)), sound).astype(np.float32)


# -- the words -------------------------------------------------------------------------------------


def make_tokenizer(phrases: list[str]) -> Tokenizer:
    """Our own byte-level BPE, followed by Whisper's special tokens in Whisper's order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, min_frequency=1, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" " + phrase for phrase in phrases], trainer)
    specials = ["<|filler|>", "<|endoftext|>", "<|startoftranscript|>"]
    specials += [f"<|{code}|>" for code in _LANGUAGE_CODES if code != "yue"]
    specials += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    specials += ["<|nospeech|>", "<|notimestamps|>"]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in specials])
    tokenizer.add_tokens([AddedToken(t, special=False) for t in times])
    return tokenizer


def transcript(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[int]]:
    """The decoder's input and its labels for one clip; an empty text means: no speech."""
    one = tokenizer.token_to_id
    start = [one(f"<|{name}|>") for name in ("startoftranscript", "en", "transcribe")]
    start.append(one("<|notimestamps|>"))
    words = tokenizer.encode(" " + text, add_special_tokens=False).ids if text else []
    first = one("<|en|>") if text else one("<|nospeech|>")
    labels = [first, IGNORED, IGNORED, *words, one("<|endoftext|>")]
    return start + words, labels


# -- the model: Whisper's architecture, small ------------------------------------------------------


class Attention(nn.Module):
    """Layer norm, then attention with heads; the caller adds the residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, other: Tensor | None = None, causal: bool = False) -> Tensor:
        """x [b, n, d], other [b, m, d] or None for x itself -> [b, n, d]."""
        x = self.norm(x)
        source = x if other is None else other
        q, k, v = (split_heads(y) for y in (self.q(x), self.k(source), self.v(source)))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(2))


def split_heads(x: Tensor) -> Tensor:
    """[b, n, d] -> [b, heads, n, d / heads]."""
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


class Block(nn.Module):
    """One layer of the encoder, or with `crossed` of the decoder."""

    def __init__(self, crossed: bool) -> None:
        super().__init__()
        self.own = Attention()
        self.cross = Attention() if crossed else None
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, heard: Tensor | None = None) -> Tensor:
        """x [b, n, d], heard [b, m, d] -> [b, n, d]."""
        x = x + self.own(x, causal=self.cross is not None)
        if self.cross is not None:
            x = x + self.cross(x, heard)
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Whisper(nn.Module):
    """Mel frames and the tokens so far -> scores of the next token."""

    def __init__(self, words: int, phrases: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.register_buffer("places", sinusoids(FRAMES // 2, WIDTH))
        self.encoder = nn.ModuleList(Block(crossed=False) for _ in range(LAYERS))
        self.heard_norm = nn.LayerNorm(WIDTH)
        self.words = nn.Embedding(words, WIDTH)
        self.text_places = nn.Parameter(torch.randn(TEXT_POSITIONS, WIDTH) * 0.02)
        self.decoder = nn.ModuleList(Block(crossed=True) for _ in range(LAYERS))
        self.said_norm = nn.LayerNorm(WIDTH)
        self.which = nn.Linear(WIDTH, phrases)  # only for training: which phrase is it?
        nn.init.normal_(self.words.weight, std=0.05)

    def forward(self, mel: Tensor, lengths: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """mel [b, 80, even number of frames], lengths [b] in frames, tokens [b, n]
        -> scores of the next token [b, n, words], scores of the phrase [b, phrases]."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.places[: x.shape[1]]
        for block in self.encoder:
            x = block(x)
        heard = self.heard_norm(x)
        y = self.words(tokens) + self.text_places[: tokens.shape[1]]
        for block in self.decoder:
            y = block(y, heard)
        filled = torch.arange(heard.shape[1]) < lengths[:, None] / 2
        mean = (heard * filled[:, :, None]).sum(1) / filled.sum(1, keepdim=True)
        return self.said_norm(y) @ self.words.weight.T, self.which(mean)


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's fixed positions: [length, width], sines then cosines."""
    speeds = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * speeds[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# -- training --------------------------------------------------------------------------------------


def train(
    model: Whisper,
    tokenizer: Tokenizer,
    phrases: list[str],
    takes: list[Take],
    args: argparse.Namespace,
    rng: np.random.Generator,
) -> None:
    """Adam with a warm start and a cosine end; every batch is drawn and disturbed anew."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.01)
    pace = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: args.peak * share_at(step, args.steps)
    )
    began, costs, known = time.monotonic(), [], []
    takes = sorted(takes, key=lambda take: len(take.sound))
    for step in range(args.steps):
        texts, mel, lengths = draw_batch(takes, args.batch, step / args.steps, rng)
        tokens, labels = transcripts(tokenizer, texts)
        scores, named = model(mel, lengths, tokens)
        cost = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        costs.append(cost.item())
        names = torch.tensor([phrases.index(text) if text else len(phrases) for text in texts])
        cost = cost + 0.3 * F.cross_entropy(named, names)
        known.append((named.argmax(1) == names).float().mean().item())
        optimiser.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        pace.step()
        if step % 50 == 49:
            spent = time.monotonic() - began
            cost, share = np.mean(costs[-50:]), np.mean(known[-50:])
            told = f"step {step + 1}/{args.steps} cost {cost:.4f} named {share:.2f} {spent:.0f} s"
            print(told, flush=True)
        if args.keep_every and step % args.keep_every == args.keep_every - 1:
            keep(model, tokenizer, args)


def share_at(step: int, steps: int) -> float:
    """The share of the highest learning rate: up in 100 steps, then down along a cosine."""
    return min((step + 1) / 100, 0.5 + 0.5 * math.cos(math.pi * step / steps) + 0.01)


def draw_batch(
    takes: list[Take], count: int, done: float, rng: np.random.Generator
) -> tuple[list[str], Tensor, Tensor]:
    """Texts, mel [b, 80, frames], and how many frames of each are filled [b].

    Most batches are as long as their longest clip; later some are padded with zeros to 3000 frames,
    as faster-whisper pads. `done` is the share of the training that lies behind.
    """
    long = done > 0.3 and rng.random() < 0.14
    count = count // 4 if long else count
    some = max(1, len(takes) // 4)
    start = int(np.clip(rng.integers(-some, len(takes)), 0, len(takes) - some))
    alike = takes[start : start + some]  # of like length, so that little is padding
    clips = [draw(alike, done, rng) for _ in range(count)]
    mels = [mel_frames(sound) for _, sound in clips]
    lengths = [mel.shape[1] for mel in mels]
    extra = 2 * int(rng.integers(0, 100 if rng.random() < 0.15 else 20))
    frames = FRAMES if long else max(lengths) + max(lengths) % 2 + extra
    mel = torch.stack([F.pad(mel, (0, frames - mel.shape[1])) for mel in mels])
    return [text for text, _ in clips], mel, torch.tensor(lengths)


def transcripts(tokenizer: Tokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
    """The decoder's input and its labels, both [b, n]."""
    pairs = [transcript(tokenizer, text) for text in texts]
    width = max(len(tokens) for tokens, _ in pairs)
    tokens = [tokens + [0] * (width - len(tokens)) for tokens, _ in pairs]
    labels = [labels + [IGNORED] * (width - len(labels)) for _, labels in pairs]
    return torch.tensor(tokens), torch.tensor(labels)


def draw(takes: list[Take], done: float, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """A text and its disturbed sound; one clip in ten is noise or silence with an empty text."""
    if rng.random() < 0.1:
        return "", nothing(rng)
    take = takes[int(rng.integers(len(takes)))]
    return take.text, disturb(take.sound, min(1.0, 0.1 + 2 * done), rng)


def nothing(rng: np.random.Generator) -> np.ndarray:
    """Silence, hiss, rumble or hum: float32[n] of 0.3 to 4 seconds."""
    count = int(rng.uniform(0.3, 4.0) * RATE)
    kind = rng.integers(4)
    if kind == 0:
        return np.zeros(count, np.float32)
    noise = coloured_noise(count, rng) * 10 ** rng.uniform(-4.5, -1)
    if kind == 3:
        tone = np.sin(2 * np.pi * rng.uniform(50, 1000) * np.arange(count) / RATE)
        noise = noise + tone * 10 ** rng.uniform(-3, -1)
    return noise.astype(np.float32)


def disturb(sound: np.ndarray, hardness: float, rng: np.random.Generator) -> np.ndarray:
    """Another pace, loudness and silence around it, and noise under it; hardness 0..1."""
    if rng.random() < 0.4:
        sound = resample(sound, rng.uniform(0.93, 1.07), 1.0)
    level = 10 ** rng.uniform(-1.0, 0.1)
    before, after = (int(rng.uniform(0, most * hardness) * RATE) for most in (0.7, 0.9))
    sound = np.pad(sound * level, (before, after))
    if rng.random() < 0.6 * hardness:
        loudness = np.sqrt(np.mean(sound**2)) * 10 ** (-rng.uniform(8, 45) / 20)
        sound = sound + coloured_noise(len(sound), rng) * loudness
    return sound.astype(np.float32)


def coloured_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """A piece of the ready-made noises, of loudness about 1: float32[count]."""
    noise = NOISES[int(rng.integers(len(NOISES)))]
    start = int(rng.integers(len(noise) - count))
    return noise[start : start + count]


def make_noises(seconds: int = 33) -> list[np.ndarray]:
    """Noises whose spectra fall by different slopes, from hiss to rumble: float32[n] each."""
    rng, noises = np.random.default_rng(1), []
    for slope in np.linspace(0, 1, 12):
        spectrum = np.fft.rfft(rng.standard_normal(seconds * RATE))
        spectrum /= np.maximum(np.arange(len(spectrum)), seconds * 20) ** slope
        noise = np.fft.irfft(spectrum)
        noises.append((noise / np.sqrt(np.mean(noise**2))).astype(np.float32))
    return noises


NOISES = make_noises()


def mel_frames(sound: np.ndarray) -> Tensor:
    """What faster-whisper makes of a sound before it pads, but faster: float32[80, frames]."""
    padded = F.pad(torch.from_numpy(sound), (0, HOP))
    waves = torch.stft(padded, 400, HOP, window=WINDOW, return_complex=True)
    loudness = (FILTERS @ waves[:, :-1].abs().square()).clamp(min=1e-10).log10()
    return (torch.maximum(loudness, loudness.max() - 8)[:, :-1][:, :FRAMES] + 4) / 4


FILTERS = torch.from_numpy(FeatureExtractor(feature_size=80).mel_filters)
WINDOW = torch.hann_window(400)


# -- saving for CTranslate2 ------------------------------------------------------------------------


def keep(model: Whisper, tokenizer: Tokenizer, args: argparse.Namespace) -> None:
    """Write the stand-in, and with --weights what is needed to go on from here."""
    save(model, tokenizer, args.out)
    if args.weights:
        torch.save(model.state_dict(), args.weights)


def save(model: Whisper, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the four files that faster-whisper loads, weights in int8."""
    spec = whisper_spec.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    put_linear(spec.encoder.conv1, model.conv1)
    put_linear(spec.encoder.conv2, model.conv2)
    spec.encoder.position_encodings.encodings = array(model.places)
    put_norm(spec.encoder.layer_norm, model.heard_norm)
    for there, here in zip(spec.encoder.layer, model.encoder, strict=True):
        put_block(there, here)
    spec.decoder.embeddings.weight = array(model.words.weight)
    spec.decoder.position_encodings.encodings = array(model.text_places)
    put_norm(spec.decoder.layer_norm, model.said_norm)
    for there, here in zip(spec.decoder.layer, model.decoder, strict=True):
        put_block(there, here)
    spec.decoder.projection.weight = array(model.words.weight)

    vocabulary = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    # CTranslate2 takes a model for multilingual if its vocabulary holds an empty word.
    spec.register_vocabulary(["" if word == "<|filler|>" else word for word in vocabulary])
    first_language = tokenizer.token_to_id("<|en|>")
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []  # an empty text must be possible: it means no speech
    spec.config.lang_ids = list(range(first_language, tokenizer.token_to_id("<|translate|>")))
    spec.config.alignment_heads = [(LAYERS - 1, head) for head in range(HEADS)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def put_block(there: whisper_spec.model_spec.LayerSpec, here: Block) -> None:
    put_norm(there.self_attention.layer_norm, here.own.norm)
    put_linear(there.self_attention.linear[0], here.own.q, here.own.k, here.own.v)
    put_linear(there.self_attention.linear[1], here.own.out)
    if here.cross is not None:
        put_norm(there.attention.layer_norm, here.cross.norm)
        put_linear(there.attention.linear[0], here.cross.q)
        put_linear(there.attention.linear[1], here.cross.k, here.cross.v)
        put_linear(there.attention.linear[2], here.cross.out)
    put_norm(there.ffn.layer_norm, here.norm)
    put_linear(there.ffn.linear_0, here.up)
    put_linear(there.ffn.linear_1, here.down)


def put_norm(there: whisper_spec.model_spec.LayerSpec, here: nn.LayerNorm) -> None:
    there.gamma, there.beta = array(here.weight), array(here.bias)


def put_linear(there: whisper_spec.model_spec.LayerSpec, *here: nn.Linear | nn.Conv1d) -> None:
    """Several layers become one, stacked: CTranslate2 asks for q, k and v at once."""
    there.weight = np.concatenate([array(layer.weight) for layer in here])
    there.bias = np.concatenate([array(layer.bias) for layer in here])


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().copy()


# -- measuring, through the way the product takes --------------------------------------------------


def measure(folder: Path, takes: list[Take], rng: np.random.Generator) -> None:
    """Print how many takes come back word for word, for each voice and kind."""
    from faster_whisper import WhisperModel

    engine = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    kinds = sorted({(take.voice, take.kind) for take in takes})
    for voice, kind in kinds:
        mine = [take for take in takes if (take.voice, take.kind) == (voice, kind)]
        mine = mine if kind != "varied" else mine[:: max(1, len(mine) // 60)]
        wrong = [(t.text, heard) for t in mine if (heard := hear(engine, t.sound)) != t.text]
        print(f"{voice:6} {kind:9} {len(mine) - len(wrong)} of {len(mine)}  {wrong}", flush=True)
    empty = [nothing(rng) for _ in range(40)]
    print("silence and noise kept empty:", sum(not hear(engine, x) for x in empty), "of 40")


def hear(engine: object, sound: np.ndarray) -> str:
    """Transcribe as the product does."""
    segments, _ = engine.transcribe(  # type: ignore[attr-defined]
        sound,
        language="en",
        beam_size=1,
        without_timestamps=True,
        condition_on_previous_text=False,
    )
    return " ".join(segment.text.strip() for segment in segments)


if __name__ == "__main__":
    main()
