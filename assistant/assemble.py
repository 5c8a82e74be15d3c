"""Settings -> engines and devices -> House. The only file that knows all three packages.

It starts nothing: lanes make their engines at the first use.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from assistant.child import Child
from assistant.clock import Clock, SystemClock
from assistant.config import Config
from assistant.converse import House
from assistant.engines import (
    STOPPED,
    LaneLanguageModel,
    LaneReader,
    LaneSynthesizer,
    LaneTranscriber,
    LaneVoiceActivity,
    SpareSynthesizer,
    SpareTranscriber,
)
from assistant.errors import AssistantError, ModelDamaged, ModelMissing
from assistant.events import Bus
from assistant.flow import Here, Lane
from assistant.ports import LanguageModel, Light, Microphone, Speaker, Synthesizer, Transcriber
from assistant.router import Router
from assistant.schedule import Timers
from assistant.store import Store

Kind = Literal["whisper", "chat", "voice"]
SUFFIXES: dict[Kind, str] = {"whisper": "", "chat": ".gguf", "voice": ".onnx"}
"""How models are named in the models folder: a folder for Whisper, a file for the others."""


@dataclass
class Built:
    """A house, and what must be closed after it."""

    house: House
    lanes: list[Lane]
    hearing: list[Lane]
    """Lanes that a spoken turn needs before it is understood."""
    answering: list[Lane]
    """Lanes that most turns need after that: the chat model's, the voice's."""
    reading: Lane
    """The reader's: large, so a daemon loads it when it is first asked for."""
    notices: list[AssistantError] = field(default_factory=list)
    """Models that were passed over, with the reason."""

    async def load(self, lanes: Iterable[Lane]) -> list[AssistantError]:
        """Makes engines ready side by side, before they are asked; gives what went wrong."""
        done = await asyncio.gather(*(lane.load() for lane in lanes), return_exceptions=True)
        return [error for error in done if isinstance(error, AssistantError)]

    async def close(self) -> None:
        for lane in self.lanes:
            await lane.close()


def assemble(
    config: Config,
    bus: Bus,
    store: Store,
    speaker: Speaker,
    *,
    clock: Clock | None = None,
    rings: bool = False,
    forgiving: bool = False,
) -> Built:
    """The house that the settings describe.

    A damaged or missing model raises ModelDamaged or ModelMissing; where `forgiving`, as a daemon
    must be, the built-in engine serves instead and `notices` says why.
    """
    plan = _Plan(config, forgiving)
    clock = clock or SystemClock()
    activity = plan.here("silero", _silero)
    files = plan.here("files", _Files)
    most_pixels = int(config.look.most_megapixels * 1e6)
    reading = plan.child("models.ocr:Rapid", threads=plan.threads)
    house = House(
        bus=bus,
        clock=clock,
        timers=Timers(store, clock),
        open_sound=lambda path: files.call("sound", path, config.listen.longest),
        open_picture=lambda path: files.call("picture", path, most_pixels),
        activity=LaneVoiceActivity(activity),
        transcriber=plan.transcriber(),
        reader=LaneReader(reading, "rapidocr"),
        router=Router(bus, plan.language_model()),
        synthesizer=plan.synthesizer(),
        speaker=speaker,
        threshold=config.listen.threshold,
        rings=rings,
    )
    hearing = [activity, *plan.hearing]
    return Built(house, plan.lanes, hearing, plan.answering, reading, plan.notices)


class _Plan:
    """Chooses engines, and keeps the lanes that it made for them."""

    def __init__(self, config: Config, forgiving: bool) -> None:
        self._config, self._forgiving = config, forgiving
        self.threads = threads(config)
        self.lanes: list[Lane] = []
        self.hearing: list[Lane] = []
        self.answering: list[Lane] = []
        self.notices: list[AssistantError] = []

    def transcriber(self) -> Transcriber:
        chosen = self._config.engines.transcriber
        biased = self._config.engines.biased
        name = "pocketsphinx, biased" if biased else "pocketsphinx"
        lane = self.child("models.sphinx:Sphinx", biased=biased)
        built_in = LaneTranscriber(lane, name)
        folder = None if chosen == "sphinx" else self._model("whisper", chosen == "whisper")
        if folder is None:
            self.hearing.append(lane)
            return built_in
        lane = self.child("models.whisper:Whisper", folder=str(folder), threads=self.threads)
        self.hearing.append(lane)
        first = LaneTranscriber(lane, f"whisper {folder.name}")
        return SpareTranscriber(first, built_in, self._spare_for)

    def language_model(self) -> LanguageModel | None:
        chosen = self._config.engines.language_model
        file = None if chosen == "none" else self._model("chat", chosen == "llama")
        if file is None:
            return None
        lane = self.child("models.llama:Llama", file=str(file), threads=self.threads)
        self.answering.append(lane)
        return LaneLanguageModel(lane, file.stem)

    def synthesizer(self) -> Synthesizer:
        chosen, speech = self._config.engines.voice, self._config.speech
        lane = self.here("espeak", lambda: _espeak(speech.language, speech.speed))
        self.answering.append(lane)
        built_in = LaneSynthesizer(lane, "espeak-ng")
        file = None if chosen == "espeak" else self._model("voice", chosen == "piper")
        if file is None:
            return built_in
        lane = self.child(
            "models.piper:Piper", file=str(file), speed=speech.speed, threads=self.threads
        )
        self.answering.append(lane)
        first = LaneSynthesizer(lane, f"piper {file.stem}")
        return SpareSynthesizer(first, built_in, self._spare_for)

    @property
    def _spare_for(self) -> tuple[type[AssistantError], ...]:
        return (*STOPPED, ModelDamaged) if self._forgiving else STOPPED

    def here(self, name: str, make: Callable[[], object]) -> Lane:
        return self._kept(Lane(Here(name, make)))

    def child(self, engine: str, **arguments: object) -> Lane:
        deadline = self._config.engines.deadline
        return self._kept(Lane(Child(engine, arguments, deadline=deadline)))

    def _kept(self, lane: Lane) -> Lane:
        self.lanes.append(lane)
        return lane

    def _model(self, kind: Kind, wanted: bool) -> Path | None:
        """The model of that kind to use, checked; None: the built-in engine serves."""
        try:
            file = find_model(self._config, kind)
            if file is None and wanted:
                raise ModelMissing(
                    f"There is no {kind} model in {self._config.folders.models / kind}.",
                    "Put one there, or set the engine to auto.",
                )
            if file is not None:
                check_model(kind, file)
        except (ModelMissing, ModelDamaged) as error:
            if not self._forgiving:
                raise
            self.notices.append(error)
            return None
        return file


def threads(config: Config) -> int:
    """Of one engine: all cores but one, so that sound and keys never wait for a model."""
    return config.engines.threads or max(1, (os.cpu_count() or 1) - 1)


def find_model(config: Config, kind: Kind) -> Path | None:
    """The model that the settings name, or the first by name; None where there is none.

    Raises ModelMissing where the one that is named is not there.
    """
    engines = config.engines
    name = {"whisper": engines.whisper, "chat": engines.chat, "voice": engines.piper}[kind]
    folder = config.folders.models / kind
    if name:
        file = folder / f"{name}{SUFFIXES[kind]}"
        if not file.exists():
            raise ModelMissing(f"There is no model {file}.", "Put it there, or unset its name.")
        return file
    return next(iter(_models_of(config, kind)), None)


def check_model(kind: Kind, file: Path) -> None:
    """A quick look at the file, without loading it. Raises ModelDamaged or ModelMissing."""
    from models import llama, piper, whisper

    check = {"whisper": whisper.check, "chat": llama.check, "voice": piper.check}[kind]
    check(file)


async def open_speaker(config: Config) -> Speaker:
    """The loudspeaker, not yet open. Raises DeviceMissing and DeviceLost."""
    from hardware import portaudio
    from hardware.speaker import PortAudioSpeaker

    await portaudio.found("output", config.speech.device)
    return PortAudioSpeaker(config.speech.device)


async def open_microphone(config: Config) -> Microphone:
    """The microphone, not yet open. Raises DeviceMissing and DeviceLost."""
    from hardware import portaudio
    from hardware.microphone import PortAudioMicrophone

    await portaudio.found("input", config.listen.device)
    return PortAudioMicrophone(config.listen.device)


def speaker_to(reply: Path | None) -> Speaker:
    """A speaker that writes into that file, or is silent."""
    from hardware.fakes import SilentSpeaker, WavFileSpeaker

    return SilentSpeaker() if reply is None else WavFileSpeaker(reply)


def terminal_light() -> Light:
    import sys

    from hardware.light import TerminalLight

    return TerminalLight(sys.stderr)


class _Files:
    """Sound and picture files, decoded in a lane of their own."""

    def __init__(self) -> None:
        from hardware import picture, recording

        self.sound, self.picture = recording.decode, picture.decode


def _silero() -> object:
    from models.silero import Silero

    return Silero()


def _espeak(voice: str, speed: float) -> object:
    from models.espeak import Espeak

    return Espeak(voice, speed)


def models_found(config: Config) -> list[tuple[Kind, Path]]:
    """Every model in the models folder, used or not, by kind and name."""
    return [(kind, file) for kind in SUFFIXES for file in _models_of(config, kind)]


def _models_of(config: Config, kind: Kind) -> list[Path]:
    """The models of one kind, by name; none where there is no such folder."""
    files = sorted((config.folders.models / kind).glob(f"*{SUFFIXES[kind]}"))
    fitting = (file for file in files if file.is_dir() or kind != "whisper")
    return [file for file in fitting if not file.name.startswith(".")]


def check_voice(config: Config) -> None:
    """Loads espeak-ng and its voice. Raises EngineMissing or ModelMissing."""
    _espeak(config.speech.language, config.speech.speed)
