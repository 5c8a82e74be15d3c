"""`assistant doctor` through the command itself, in folders of its own; thresholds by turning them.

Nothing here needs a device: what a machine lacks is a warning.
"""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from assistant import config, doctor
from assistant.client import socket_path
from assistant.errors import Trouble
from assistant.store import MIGRATIONS

ROOT = Path(__file__).resolve().parent.parent
STANDINS = ROOT / "tests" / "standins"
LINE = re.compile(r"(ok  |warn|fail)  (\S.{16})- \S.*")
CHECKS = {
    "python", "packages", "system libraries", "built-in voice", "microphone", "loudspeaker",
    "cameras", "state folder", "runtime folder", "models folder", "machine", "engines", "models",
    "daemon", "journal", "disk", "memory", "clock", "battery clock",
}  # fmt: skip


class Home:
    """Folders of its own, and the doctor asked about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.runtime, self.models = (
            folder / name for name in ("state", "runtime", "models")
        )
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
        self.environment = inherited | {
            "XDG_CONFIG_HOME": str(folder / "config"),
            "ASSISTANT_FOLDERS__STATE": str(self.state),
            "ASSISTANT_FOLDERS__RUNTIME": str(self.runtime),
            "ASSISTANT_FOLDERS__MODELS": str(self.models),
        }

    def ask(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (sys.executable, "-m", "assistant", "doctor", *options),
            cwd=ROOT, env=self.environment | environment,
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    def findings(self, check: str, **environment: str) -> tuple[int, list[dict[str, str]]]:
        """Exit status, and what was found of that."""
        done = self.ask("--json", **environment)
        assert "Traceback" not in done.stderr
        found = json.loads(done.stdout)
        return done.returncode, [each for each in found if each["check"] == check]


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="home-") as folder:  # short: a socket goes in
        yield Home(Path(folder))


@pytest.fixture
def here(home: Home, monkeypatch: pytest.MonkeyPatch) -> config.Config:
    """The settings of that home, for checks called in this process."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return config.load().config


def the_finding(check: Any, settings: config.Config) -> doctor.Finding:
    (finding,) = check(settings)
    assert isinstance(finding, doctor.Finding)
    return finding


# ---- the whole report ----------------------------------------------------------------------------


def test_each_line_is_a_state_a_check_and_a_finding(home: Home):
    done = home.ask()
    lines = done.stdout.splitlines()
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    assert {match[2].strip() for match in matches if match} >= CHECKS
    failures = [line for line in lines if line.startswith("fail")]
    assert done.returncode == (Trouble.status if failures else 0)


def test_a_machine_that_was_set_up_has_no_failure(home: Home):
    done = home.ask()
    assert [line for line in done.stdout.splitlines() if line.startswith("fail")] == []
    assert (done.returncode, done.stderr) == (0, "")


def test_json_is_a_list_for_programs(home: Home):
    done = home.ask("--json")
    found = json.loads(done.stdout)
    assert {each["check"] for each in found} >= CHECKS
    for each in found:
        assert set(each) == {"check", "state", "finding", "mend"}
        assert each["state"] in ("ok", "warn", "fail")
        assert each["state"] == "ok" or each["mend"], f"no mend: {each}"


def test_it_only_looks(home: Home):
    home.ask()
    assert not any(folder.exists() for folder in (home.state, home.runtime, home.models))


def test_a_check_that_breaks_is_told_and_the_others_go_on(
    here: config.Config, monkeypatch: pytest.MonkeyPatch
):
    def _broken(settings: config.Config) -> Iterator[doctor.Finding]:
        raise RuntimeError("so it is")

    monkeypatch.setattr(doctor, "CHECKS", (_broken, doctor._python))
    broken, python = doctor.examine(here)
    assert (broken.check, broken.state) == ("broken", doctor.State.FAIL)
    assert "so it is" in broken.finding
    assert python.state is doctor.State.OK


# ---- hardware ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "setting"),
    [("microphone", "ASSISTANT_LISTEN__DEVICE"), ("loudspeaker", "ASSISTANT_SPEECH__DEVICE")],
)
def test_a_device_that_is_not_there_is_a_warning(home: Home, check: str, setting: str):
    status, (found,) = home.findings(check, **{setting: "a device that nobody has"})
    assert (found["state"], status) == ("warn", 0)
    assert check in found["finding"]


# ---- models --------------------------------------------------------------------------------------


def test_a_whole_model_is_named_with_the_engine_that_serves(home: Home):
    (home.models / "chat").mkdir(parents=True)
    shutil.copy(STANDINS / "chat" / "standin.gguf", home.models / "chat" / "small.gguf")
    status, (found,) = home.findings("models")
    assert (status, found["state"]) == (0, "ok")
    assert "chat small" in found["finding"]
    assert re.search("thinks with .*small", home.findings("engines")[1][0]["finding"])


def test_a_damaged_model_that_would_serve_is_a_failure(home: Home):
    (home.models / "chat").mkdir(parents=True)
    (home.models / "chat" / "small.gguf").write_bytes(b"no model")
    status, found = home.findings("engines")
    assert status == Trouble.status
    (failure,) = (each for each in found if each["state"] == "fail")
    assert str(home.models / "chat" / "small.gguf") in failure["finding"]
    assert home.findings("models") == (Trouble.status, [])  # said once


def test_a_damaged_model_that_nobody_uses_is_a_warning(home: Home):
    (home.models / "chat").mkdir(parents=True)
    shutil.copy(STANDINS / "chat" / "standin.gguf", home.models / "chat" / "a.gguf")
    (home.models / "chat" / "b.gguf").write_bytes(b"no model")
    status, found = home.findings("models")
    assert status == 0
    assert [each["state"] for each in found] == ["ok", "warn"]


def test_a_model_that_is_wanted_and_missing_is_a_failure(home: Home):
    status, found = home.findings("engines", ASSISTANT_ENGINES__TRANSCRIBER="whisper")
    assert status == Trouble.status
    assert "whisper" in found[0]["finding"]


def test_a_voice_that_espeak_does_not_have_is_a_failure(home: Home):
    status, (found,) = home.findings("built-in voice", ASSISTANT_SPEECH__LANGUAGE="klingonese")
    assert (found["state"], status) == ("fail", Trouble.status)


# ---- folders, journal, daemon --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state", "status"),
    [("state", "fail", Trouble.status), ("runtime", "fail", Trouble.status), ("models", "warn", 0)],
)
def test_a_folder_that_cannot_be_made(home: Home, name: str, state: str, status: int):
    (home.folder / "file").touch()
    place = {f"ASSISTANT_FOLDERS__{name.upper()}": str(home.folder / "file" / "below")}
    ended, (found,) = home.findings(f"{name} folder", **place)
    assert (found["state"], ended) == (state, status)
    assert f"folders.{name}" in found["mend"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(home: Home):
    home.state.mkdir(mode=0o500)
    _, (found,) = home.findings("state folder")
    assert found["state"] == "fail"


def test_a_whole_journal(home: Home):
    write_journal(home, len(MIGRATIONS))
    status, (found,) = home.findings("journal")
    assert (status, found["state"]) == (0, "ok")
    assert "whole" in found["finding"]


def test_a_journal_of_a_newer_version(home: Home):
    write_journal(home, len(MIGRATIONS) + 1)
    status, (found,) = home.findings("journal")
    assert (status, found["state"]) == (Trouble.status, "fail")


@pytest.mark.parametrize("page", [0, 1])
def test_a_damaged_journal_is_told_and_left_alone(home: Home, page: int):
    file = write_journal(home, len(MIGRATIONS))
    content = bytearray(file.read_bytes())
    content[page * 4096 : page * 4096 + 100] = b"\xa5" * 100
    file.write_bytes(content)
    status, (found,) = home.findings("journal")
    assert (status, found["state"]) == (Trouble.status, "fail")
    assert file.read_bytes() == content


def write_journal(home: Home, version: int) -> Path:
    home.state.mkdir()
    file = home.state / "assistant.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("CREATE TABLE turns (text TEXT)")
        connection.executemany("INSERT INTO turns VALUES (?)", [("word " * 200,)] * 20)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    return file


def test_a_daemon_is_noticed_and_so_is_what_a_dead_one_left(home: Home):
    home.runtime.mkdir()
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(socket_path(home.runtime)))
        daemon.listen()
        assert home.findings("daemon")[1][0]["finding"] == "running"
    status, (found,) = home.findings("daemon")  # its socket still lies there
    assert (status, found["state"]) == (0, "ok")
    assert "not running" in found["finding"]


# ---- thresholds: the machine stays, the threshold is turned --------------------------------------


@pytest.mark.parametrize(
    ("threshold", "check", "state"),
    [
        ("DISK_WARN", doctor._disk, doctor.State.WARN),
        ("DISK_FAIL", doctor._disk, doctor.State.FAIL),
        ("MEMORY_WARN", doctor._memory, doctor.State.WARN),
    ],
)
def test_too_little_is_told(
    here: config.Config, monkeypatch: pytest.MonkeyPatch, threshold: str, check: Any, state: Any
):
    monkeypatch.setattr(doctor, threshold, 1 << 60)
    finding = the_finding(check, here)
    assert finding.state is state
    assert finding.mend
    assert re.search(r"\d+ MB", finding.finding)


def test_a_clock_that_was_never_set(here: config.Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "OLDEST_YEAR", 3000)
    clock, _ = doctor._clock(here)
    assert clock.state is doctor.State.FAIL


def test_a_library_that_the_system_lacks(here: config.Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "SYSTEM_LIBRARIES", {"libnobody.so.9": "libnobody9"})
    finding = the_finding(doctor._system_libraries, here)
    assert finding.state is doctor.State.FAIL
    assert "libnobody9" in finding.mend


def test_a_package_that_is_not_installed(here: config.Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2", "not-to-be-had==1"])
    missing, found = doctor._packages(here)
    assert (missing.state, found.state) == (doctor.State.FAIL, doctor.State.OK)
    assert "not-to-be-had" in missing.finding
    assert found.finding.startswith("numpy ")
