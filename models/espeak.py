"""The built-in voice: takes text, gives sound at 22,050 Hz, a sentence or so at a time.

espeak-ng (GPL-3.0-or-later), spoken to by ctypes through the library that piper-tts carries
with its data; importing piper for it would take a second. The calls are those of espeak-ng's
speak_lib.h. The library keeps its voice and settings in globals, so one lock guards it, and each
piece sets them anew: another voice, or Piper's own phonemes, may have used the library meanwhile.

Text is data: nothing in it is taken for markup (SSML, phonemes) or for espeak's embedded commands.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from assistant.errors import EngineFailed, EngineMissing, ModelMissing
from assistant.turn import Sound
from models import installed

WORDS_A_MINUTE = 165
"""At speed 1: espeak's own 175 is hurried for a listener who is walking."""

LOCK = threading.Lock()
"""Held during each call of the library; models/piper.py shares it, as it shares the library."""

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: espeak_Synth returns when all is said
_DONT_EXIT = 0x8000  # else espeak_Initialize ends the whole process if its data are missing
# espeakCHARS_UTF8 and espeakENDPAUSE: clauses come one by one, and the pause after each is part of
# it. Not espeakSSML (0x10), not espeakPHONEMES (0x100): text is never markup.
_FLAGS = 0x1 | 0x1000
_RATE_PARAMETER = 1
_SLOWEST, _FASTEST = 80, 450  # words a minute that espeak can do

# Long text is said in pieces, so that the first sound comes at once and a barge-in stops the rest.
# A piece has 60 characters at least: "Dr. Who" stays whole in short text, where espeak knows it.
_PIECE = re.compile(r".{60,400}?[.!?]\s|.{1,400}(?:\s|\Z)|.{1,400}", re.DOTALL)

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """A voice of espeak-ng such as "en-us", "en" (British) or "en-us+f3"; speed 1: 165 words/min.

    Raises EngineMissing without piper-tts, ModelMissing for a voice that espeak does not have.
    """

    name = "espeak"

    def __init__(self, voice: str = "en-us", speed: float = 1.0) -> None:
        self._voice = voice.encode()
        self._words_a_minute = min(_FASTEST, max(_SLOWEST, round(WORDS_A_MINUTE * speed)))
        self._library, self._rate = _library()
        with LOCK:
            self._settle()

    def speak(self, text: str) -> Iterator[Sound]:
        """Sounds of float32 samples, in order. Text without a letter or digit gives none."""
        for piece in _PIECE.findall(plain(text)):
            if any(sign.isalnum() for sign in piece):
                yield Sound(self._synthesize(piece), self._rate)

    def _synthesize(self, piece: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        parts: list[bytes] = []

        def collect(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
            if samples and count > 0:
                parts.append(ctypes.string_at(samples, 2 * count))
            return 0  # go on

        callback = _Callback(collect)
        data = piece.encode("utf-8", "replace")
        with LOCK:
            self._settle()
            self._library.espeak_SetSynthCallback(callback)
            status = self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _FLAGS, None, None)
            # The callback dies with this call: leave none behind that someone else could run into.
            self._library.espeak_SetSynthCallback(_Callback())
        if status != 0:
            raise EngineFailed(f"The built-in voice failed with espeak's status {status}.")
        return np.frombuffer(b"".join(parts), np.int16).astype(np.float32) / 32768.0

    def _settle(self) -> None:
        """Sets voice and speed. The caller holds the lock."""
        if self._library.espeak_SetVoiceByName(self._voice) != 0:
            raise ModelMissing(
                f"The built-in voice has no {self._voice.decode()!r}.",
                "Choose another, such as en-us, en or en-us+f3.",
            )
        self._library.espeak_SetParameter(_RATE_PARAMETER, self._words_a_minute, 0)


def plain(text: str) -> str:
    """Without control characters: espeak takes Ctrl-A for a command and NUL for the end."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


@lru_cache(maxsize=1)
def _library() -> tuple[ctypes.CDLL, int]:
    """The library, once for the process, and its sample rate in Hz."""
    folder = installed.folder("piper")
    data = folder / "espeak-ng-data"
    try:
        library = ctypes.CDLL(str(next(folder.glob("espeakbridge*.so"))))
    except (OSError, StopIteration) as error:
        raise installed.unusable("piper-tts") from error
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
        ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    with LOCK:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _DONT_EXIT)
    if rate <= 0:
        raise EngineMissing(f"The built-in voice found no usable data in {data}.", installed.MEND)
    return library, rate
