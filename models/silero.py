"""Voice activity: takes mono sound at 16 kHz, gives the probability of speech for each 32 ms.

The model is Silero VAD v6 (MIT), as it lies in the faster-whisper package. It is run in a session
of our own on one thread: importing faster_whisper for it would take a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.errors import Defect, ModelDamaged, ModelMissing
from assistant.turn import RATE, Sound
from models import installed

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 512
"""Samples for each probability: 32 ms."""
CONTEXT = 64
"""Samples of the window before, which the model wants to see again."""
STATE = (1, 1, 128)
"""Shape of each of the two states, h and c, of the model's LSTM."""
BLOCK = 1024
"""Windows in one run of the session: bounds the memory that a long recording takes."""


class Silero:
    """Each call starts afresh: the same sound always gives the same probabilities.

    Raises EngineMissing for an absent package, ModelMissing and ModelDamaged for the model's file.
    """

    name = "silero"

    def __init__(self) -> None:
        file = model_file()
        try:
            import onnxruntime
        except ImportError as error:
            raise installed.unusable("onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has an exception class for each fault of a file
            raise ModelDamaged(
                f"The voice activity model {file} is damaged.", installed.MEND
            ) from error

    def probabilities(self, sound: Sound) -> NDArray[np.float32]:
        """float32 [ceil(samples / 512)], each 0 to 1. The last window is padded with silence."""
        if sound.rate != RATE:
            raise Defect(f"Voice activity was given sound at {sound.rate} Hz, not {RATE}.")
        windows = np.zeros((-(-len(sound.samples) // WINDOW), WINDOW), np.float32)
        windows.reshape(-1)[: len(sound.samples)] = sound.samples
        before = np.zeros((len(windows), CONTEXT), np.float32)
        before[1:] = windows[:-1, -CONTEXT:]
        inputs = np.hstack([before, windows])
        h, c = np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
        found = [np.zeros(0, np.float32)]
        for first in range(0, len(inputs), BLOCK):
            feed = {"input": inputs[first : first + BLOCK], "h": h, "c": c}
            speech, h, c = self._session.run(None, feed)
            found.append(np.asarray(speech, np.float32).reshape(-1))
        return np.concatenate(found)


def model_file() -> Path:
    """Where faster-whisper keeps the model. Raises EngineMissing and ModelMissing."""
    file = installed.folder("faster_whisper") / "assets/silero_vad_v6.onnx"
    if not file.is_file():
        raise ModelMissing(f"The voice activity model {file} is missing.", installed.MEND)
    return file
