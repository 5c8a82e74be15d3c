"""Settings: one frozen tree, from a TOML file and the environment, each value with its origin.

`[listen] longest = 30` in the file is `ASSISTANT_LISTEN__LONGEST=30` in the environment, which
wins. An unknown or wrong setting is refused with the nearest right one; nothing is guessed.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from assistant.errors import UnknownSetting, UnreadableConfig, WrongSetting

PREFIX = "ASSISTANT_"
NOT_SETTINGS = {"ASSISTANT_CONFIG", "ASSISTANT_CHILD_STDERR"}
"""Where the file is, and whether engines' child processes may write to the terminal."""


Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A path that means the same to the daemon and to every command, wherever each was started."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Engines(Section):
    transcriber: Literal["auto", "sphinx", "whisper"] = "auto"
    """Speech to text. `auto` takes Whisper where the models folder holds one, else the built-in
    pocketsphinx."""
    language_model: Literal["auto", "none", "llama"] = "auto"
    """What answers when no built-in phrase fits. `auto` takes a chat model of the models folder."""
    voice: Literal["auto", "espeak", "piper"] = "auto"
    """Text to speech. `auto` takes a Piper voice of the models folder, else espeak-ng."""
    whisper: str = ""
    """Name of the folder in `models/whisper`. Empty: the first one by name."""
    chat: str = ""
    """Name of the file in `models/chat`, without .gguf. Empty: the first one by name."""
    piper: str = ""
    """Name of the file in `models/voice`, without .onnx. Empty: the first one by name."""
    biased: bool = True
    """Let the built-in recogniser prefer what people say to an assistant."""
    threads: int = Field(default=0, ge=0, le=64)
    """Threads of one engine. 0: all cores but one, so that sound never stutters."""
    deadline: float = Field(default=60.0, gt=0, le=3600)
    """Seconds of silence after which an engine's process counts as hung and is started anew."""


class Listen(Section):
    longest: float = Field(default=60.0, gt=0, le=600)
    """Seconds of sound that one request may have."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which 32 ms of sound count as speech."""
    device: str = ""
    """Part of the microphone's name. Empty: the system's default."""


class Speech(Section):
    language: str = "en-us"
    """Voice of espeak-ng, such as en-us or en-gb."""
    speed: float = Field(default=1.0, ge=0.5, le=3.0)
    """1 is about 165 words a minute."""
    device: str = ""
    """Part of the loudspeaker's name. Empty: the system's default."""


class Look(Section):
    most_megapixels: float = Field(default=50.0, gt=0, le=1000)
    """Pictures with more are refused before they are decoded."""


class Journal(Section):
    days: int = Field(default=30, ge=0, le=3650)
    """How long the words of a turn are kept. 0: only until the next start."""


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "warning"
    """What is logged to standard error. Logs never hold what was said, heard or read."""


class Folders(Section):
    models: Folder = Field(
        default_factory=lambda: platformdirs.user_data_path("assistant") / "models"
    )
    """Where model files are looked for: whisper/NAME/, chat/NAME.gguf, voice/NAME.onnx."""
    state: Folder = Field(default_factory=lambda: platformdirs.user_state_path("assistant"))
    """The journal and the timers."""
    runtime: Folder = Field(default_factory=lambda: _runtime())
    """The daemon's socket."""


class Config(Section):
    engines: Engines = Engines()
    listen: Listen = Listen()
    speech: Speech = Speech()
    look: Look = Look()
    journal: Journal = Journal()
    log: Log = Log()
    folders: Folders = Field(default_factory=Folders)


class Effective:
    """The settings in force, and for each its dotted name, value, help and where it came from."""

    def __init__(self, config: Config, origins: Mapping[str, str]) -> None:
        self.config, self._origins = config, origins

    def rows(self) -> Iterator[tuple[str, Any, str, str]]:
        for name, field, value in _leaves(self.config):
            yield name, value, self._origins.get(name, "default"), " ".join((field or "").split())


def config_file() -> Path:
    named = os.environ.get("ASSISTANT_CONFIG")
    return Path(named) if named else platformdirs.user_config_path("assistant") / "config.toml"


def load() -> Effective:
    """Reads the file, then the environment. Raises UnknownSetting, WrongSetting or
    UnreadableConfig."""
    path = config_file()
    tree, origins = _from_file(path), {}
    origins.update({name: str(path) for name in _names(tree)})
    for variable, name, text in _from_environment():
        section, _, key = name.partition(".")
        if not key:
            tree[section] = text
        elif isinstance(tree.setdefault(section, {}), dict):
            tree[section][key] = text
        origins[name] = variable
    try:
        return Effective(Config.model_validate(tree), origins)
    except ValidationError as error:
        raise _explained(error, origins) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if "ASSISTANT_CONFIG" in os.environ:
            raise UnreadableConfig(f"There is no settings file {path}.") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableConfig(f"The settings file {path} is not TOML: {error}.") from None
    except OSError as error:
        raise UnreadableConfig(f"I cannot read {path}: {error.strerror}.") from None


def _from_environment() -> Iterator[tuple[str, str, str]]:
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            yield variable, variable.removeprefix(PREFIX).lower().replace("__", "."), text


def _names(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _names(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def _leaves(section: BaseModel, above: str = "") -> Iterator[tuple[str, str | None, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", field.description, value


def _explained(error: ValidationError, origins: Mapping[str, str]) -> Exception:
    """The first fault in words: what is wrong, where it stands, and what would be right."""
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"])
    below = next(
        (there for there in origins if there == name or there.startswith(name + ".")), name
    )
    origin = origins.get(below, "the settings")
    if fault["type"] == "extra_forbidden":
        known = [known for known, _, _ in _leaves(Config())]
        near = difflib.get_close_matches(below, known, n=1, cutoff=0.5)
        mend = f"Did you mean {near[0]}?" if near else "`assistant config` lists all there are."
        return UnknownSetting(f"There is no setting {below} (from {origin}).", mend)
    return WrongSetting(
        f"The setting {name} (from {origin}) is wrong: {_lower(fault['msg'])}.",
        "`assistant config` explains it.",
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _runtime() -> Path:
    """XDG_RUNTIME_DIR where there is one; else the state's folder, which is private as well."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_dir():
        return Path(given) / "assistant"
    return platformdirs.user_state_path("assistant")
