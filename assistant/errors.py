"""Everything that can go wrong, as one tree. Each leaf has a code for programs, an exit status of
its own, and makes a sentence fit to be spoken; `mend` says what a person can do about it.

AssistantError
├── Usage              bad-usage 2
├── ConfigError
│   ├── UnknownSetting     unknown-setting 10
│   ├── WrongSetting       wrong-setting 11
│   └── UnreadableConfig   unreadable-config 12
├── HearingError
│   ├── AudioMissing       audio-missing 20
│   ├── AudioEmpty         audio-empty 21
│   ├── AudioUnreadable    audio-unreadable 22
│   ├── AudioTooLong       audio-too-long 23
│   ├── NoSpeech           no-speech 24
│   └── NotUnderstood      not-understood 25
├── SeeingError
│   ├── PictureMissing     picture-missing 30
│   ├── PictureUnreadable  picture-unreadable 31
│   └── PictureTooLarge    picture-too-large 32
├── EngineError
│   ├── ModelDamaged       model-damaged 40
│   ├── ModelMissing       model-missing 41
│   ├── EngineDied         engine-died 42
│   ├── EngineHung         engine-hung 43
│   ├── EngineFailed       engine-failed 44
│   └── EngineMissing      engine-missing 45
├── StoreError
│   ├── DiskFull           disk-full 50
│   ├── NotPermitted       not-permitted 51
│   ├── StoreDamaged       store-damaged 52
│   ├── StoreBusy          store-busy 53
│   └── StoreTooNew        store-too-new 54
├── DaemonError
│   ├── DaemonRunning      daemon-running 60
│   ├── DaemonGone         daemon-gone 61
│   └── BadRequest         bad-request 62
├── DeviceError
│   ├── DeviceMissing      device-missing 70
│   ├── DeviceLost         device-lost 71
│   └── LightDark          light-dark 72
├── Refused                refused 80
├── Trouble                trouble 81    (what `assistant doctor` found)
└── Defect                 defect 99     (a fault of the assistant itself)

Interrupted by Ctrl-C: exit status 130.
"""

from __future__ import annotations

import errno
from pathlib import Path


class AssistantError(Exception):
    """A fault with a sentence for the wearer. The sentence names files, never what was said."""

    code = "error"
    status = 1

    def __init__(self, sentence: str, mend: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.mend = mend
        self.shown = False
        """Whether `--json` has already printed it with its turn."""

    def __reduce__(self) -> tuple[type[AssistantError], tuple[str, str]]:
        return type(self), (self.sentence, self.mend)  # crosses from a child process

    def __str__(self) -> str:
        return f"{self.sentence} {self.mend}".rstrip()


class Usage(AssistantError):
    code, status = "bad-usage", 2


class ConfigError(AssistantError):
    pass


class UnknownSetting(ConfigError):
    code, status = "unknown-setting", 10


class WrongSetting(ConfigError):
    code, status = "wrong-setting", 11


class UnreadableConfig(ConfigError):
    code, status = "unreadable-config", 12


class HearingError(AssistantError):
    pass


class AudioMissing(HearingError):
    code, status = "audio-missing", 20


class AudioEmpty(HearingError):
    code, status = "audio-empty", 21


class AudioUnreadable(HearingError):
    code, status = "audio-unreadable", 22


class AudioTooLong(HearingError):
    code, status = "audio-too-long", 23


class NoSpeech(HearingError):
    code, status = "no-speech", 24


class NotUnderstood(HearingError):
    code, status = "not-understood", 25


class SeeingError(AssistantError):
    pass


class PictureMissing(SeeingError):
    code, status = "picture-missing", 30


class PictureUnreadable(SeeingError):
    code, status = "picture-unreadable", 31


class PictureTooLarge(SeeingError):
    code, status = "picture-too-large", 32


class EngineError(AssistantError):
    pass


class ModelDamaged(EngineError):
    code, status = "model-damaged", 40


class ModelMissing(EngineError):
    code, status = "model-missing", 41


class EngineDied(EngineError):
    code, status = "engine-died", 42


class EngineHung(EngineError):
    code, status = "engine-hung", 43


class EngineFailed(EngineError):
    code, status = "engine-failed", 44


class EngineMissing(EngineError):
    code, status = "engine-missing", 45


class StoreError(AssistantError):
    pass


class DiskFull(StoreError):
    code, status = "disk-full", 50


class NotPermitted(StoreError):
    code, status = "not-permitted", 51


class StoreDamaged(StoreError):
    code, status = "store-damaged", 52


class StoreBusy(StoreError):
    code, status = "store-busy", 53


class StoreTooNew(StoreError):
    code, status = "store-too-new", 54


class DaemonError(AssistantError):
    pass


class DaemonRunning(DaemonError):
    code, status = "daemon-running", 60


class DaemonGone(DaemonError):
    code, status = "daemon-gone", 61


class BadRequest(DaemonError):
    code, status = "bad-request", 62


class DeviceError(AssistantError):
    pass


class DeviceMissing(DeviceError):
    code, status = "device-missing", 70


class DeviceLost(DeviceError):
    code, status = "device-lost", 71


class LightDark(DeviceError):
    code, status = "light-dark", 72


class Refused(AssistantError):
    code, status = "refused", 80


class Trouble(AssistantError):
    code, status = "trouble", 81


class Defect(AssistantError):
    code, status = "defect", 99


def defect(error: Exception) -> Defect:
    """A fault that nobody foresaw, in words that hold nothing of what was said."""
    found = Defect(
        f"Something in me went wrong: {type(error).__name__}.",
        "This is a fault of the assistant; set log.level to debug to see where.",
    )
    found.__cause__ = error
    return found


def leaves(tree: type[AssistantError] = AssistantError) -> list[type[AssistantError]]:
    """Every error that can be raised, in the order of the tree above."""
    below = tree.__subclasses__()
    return [leaf for branch in below for leaf in leaves(branch)] if below else [tree]


def of_code(code: str) -> type[AssistantError]:
    """The error of a code, as the daemon names it over its socket; an unknown one is a Defect."""
    return next((leaf for leaf in leaves() if leaf.code == code), Defect)


def of_os(error: OSError, path: Path) -> StoreError:
    """What a failed write means to a person. The path is the one that was to be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"There is no space left to write {path}.", "Free some space and try again."
        )
    if error.errno == errno.EFBIG:
        return DiskFull(f"{path} would grow past the limit for a file.", "Raise it with ulimit -f.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return NotPermitted(f"I may not write {path}.", "Give yourself write permission there.")
    reason = error.strerror or type(error).__name__
    return NotPermitted(f"I cannot write {path}: {reason}.", "Choose another place.")
