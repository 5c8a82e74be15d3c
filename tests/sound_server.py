"""A private sound server for tests: a loudspeaker to listen to and a microphone to speak into.

PulseAudio with two null sinks, in a folder of its own: no sound card, no session, no root needed,
and as many beside each other as there are test workers. What a child process started with
`server.environment` plays on the default output can be recorded, and what is spoken reaches its
default input.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assistant.turn import Sound

PROGRAMS = ("pulseaudio", "pactl", "pacat", "paplay", "parec")
RATE = 48_000
CONFIGURATION = """
load-module module-native-protocol-unix
load-module module-null-sink sink_name=speaker rate=48000
load-module module-null-sink sink_name=micfeed rate=48000
set-default-sink speaker
set-default-source micfeed.monitor
"""


@dataclass
class SoundServer:
    """A running server. `environment` is for processes that are to use it."""

    folder: Path
    environment: dict[str, str]
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Returns when the server answers and its devices run. Again: after it died."""
        self.end()
        self.begin("pulseaudio", "-n", "-F", f"{self.folder}/server.pa", "--daemonize=no",
                   "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error")  # fmt: skip
        _wait_until(self._answers, "the sound server answers")
        # Null sinks that nobody plays to or hears work in blocks of two seconds.
        self.begin("pacat", "--device=micfeed", f"--rate={RATE}", "--channels=2",
                   "--latency-msec=50", "/dev/zero")  # fmt: skip
        self.begin("parec", "--device=speaker.monitor", "--latency-msec=20", "/dev/null")

    def speak(self, wav: Path) -> None:
        """Speaks a WAV into the microphone; returns when it was played."""
        self._run("paplay", "--device=micfeed", str(wav))

    @contextlib.contextmanager
    def record(self, into: list[Sound]) -> Iterator[None]:
        """Records the loudspeaker while held, then adds the sound (mono, 48 kHz) to `into`."""
        command = ("parec", "--device=speaker.monitor", "--raw", "--format=float32le",
                   f"--rate={RATE}", "--channels=1", "--latency-msec=20")  # fmt: skip
        with tempfile.TemporaryFile() as file:
            recorder = subprocess.Popen(command, env=self.environment, stdout=file)
            try:
                _wait_until(lambda: os.fstat(file.fileno()).st_size > 0, "the recorder hears")
                yield
            finally:
                recorder.terminate()
                recorder.wait()
            file.seek(0)
            samples: NDArray[np.float32] = np.frombuffer(file.read(), "<f4").copy()
        into.append(Sound(samples, RATE))

    def listeners(self) -> int:
        """How many programs have the microphone open."""
        sources = self._table("sources")
        (microphone,) = (row[0] for row in sources if row[1] == "micfeed.monitor")
        return sum(row[1] == microphone for row in self._table("source-outputs"))

    def players(self) -> int:
        """How many programs have the loudspeaker open."""
        (speaker,) = (row[0] for row in self._table("sinks") if row[1] == "speaker")
        return sum(row[1] == speaker for row in self._table("sink-inputs"))

    def freeze(self) -> None:
        """The server hangs: it is there and does nothing."""
        self._processes[0].send_signal(signal.SIGSTOP)

    def die(self) -> None:
        """The server is gone from one moment to the next."""
        self._processes[0].kill()
        self._processes[0].wait()

    def begin(self, *command: str) -> None:
        """Starts a program that uses the server; it ends with it."""
        process = subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)
        self._processes.append(process)

    def end(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def _table(self, what: str) -> list[list[str]]:
        listed = self._run("pactl", "list", "short", what).decode()
        return [line.split("\t") for line in listed.splitlines()]

    def _run(self, *command: str) -> bytes:
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, check=True, timeout=60
        )
        return done.stdout

    def _answers(self) -> bool:
        asked = subprocess.run(
            ("pactl", "info"), env=self.environment, capture_output=True, check=False
        )
        return asked.returncode == 0


@contextlib.contextmanager
def running() -> Iterator[SoundServer]:
    """Starts a server in a folder of its own; afterwards nothing of it is left."""
    # Not below pytest's folders: a socket's path may not be longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sound-") as folder:
        (Path(folder) / "server.pa").write_text(CONFIGURATION)
        server = SoundServer(Path(folder), _environment(Path(folder)))
        try:
            server.start()
            yield server
        finally:
            server.end()


@contextlib.contextmanager
def used_by_this_process() -> Iterator[SoundServer]:
    """Starts a server and makes it this process's own. Skips where PulseAudio is not installed."""
    require_programs()
    with running() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        import sounddevice

        sounddevice._terminate()  # PortAudio lists its devices only when it begins
        sounddevice._initialize()
        yield server


@pytest.fixture
def sound_server() -> Iterator[SoundServer]:
    """A private server, fresh for each test. Skips where PulseAudio is not installed."""
    require_programs()
    with running() as server:
        yield server


def require_programs() -> None:
    """Skips the test where PulseAudio's programs are not installed."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"no private sound server without {', '.join(missing)}")


def _environment(folder: Path) -> dict[str, str]:
    runtime, home = folder / "run", folder / "home"
    (runtime / "pulse").mkdir(parents=True)
    home.mkdir()
    runtime.chmod(0o700)
    (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PULSE_", "ALSA_"))}
    return inherited | {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "PULSE_RUNTIME_PATH": str(runtime / "pulse"),
        "PULSE_SERVER": f"unix:{runtime}/pulse/native",
        "PULSE_SOURCE": "micfeed.monitor",
    }


def _wait_until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.02)
