"""The scripts: what they say, that set-up mends itself, and that it does nothing twice.

Set-up runs for real, on a small project in a folder of its own whose one locked package lies beside
it: no network, and never this checkout's own environment.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.timeout(900)  # environments are made here, on whatever else is going on
one_worker = pytest.mark.xdist_group("an environment")
"""Tests that share an environment: making one takes seconds."""
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())
BASH = [path for path in (*SCRIPTS, ROOT / ".ci" / "run") if "bash" in path.open().readline()]
COMMANDS = ("setup", "demo", "test", "run", "lock")
TOOLS = (
    "awk bash cat chmod cut df dirname env find flock grep head id mkdir nproc rm sed sha256sum "
    "sleep tail touch true wc"
).split()
"""What scripts/setup calls of the system, besides Python and apt."""

PYPROJECT = """\
[project]
name = "small"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''\
"""Builds wheels of no more than metadata, without any package to build with."""
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        about = "small-1.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\n")
        kind = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{about}/WHEEL", kind)
        wheel.writestr(f"{about}/RECORD", "")
    return name

build_editable = build_wheel
'''


@dataclass
class Project:
    """A checkout with the real scripts/setup and a lock of one small package."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup", self.root / "scripts")
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "backend.py").write_text(BACKEND)
        self.lock("requirements.lock", "ours", "1")
        self.lock("requirements-dev.lock", "testers", "1")

    def lock(self, lock: str, package: str, version: str) -> None:
        """The lock file names this version of a package, whose source lies in the project."""
        source = self.root / f"{package}-{version}"
        source.mkdir(exist_ok=True)
        (source / "pyproject.toml").write_text(PYPROJECT.replace("small", package))
        backend = BACKEND.replace("small", package).replace("-1", f"-{version}")
        (source / "backend.py").write_text(
            backend.replace("Version: 1\\n", f"Version: {version}\\n")
        )
        (self.root / lock).write_text(f"{package} @ {source.as_uri()}\n")

    def setup(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs it from another folder, with the system's packages taken for granted."""
        return subprocess.run(
            (self.root / "scripts" / "setup", *arguments),
            cwd="/", text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600,
            env=os.environ | {"SYSTEM_PACKAGES": "present", "PIP_NO_INDEX": "1",
                              "PYTHON": sys._base_executable} | environment,
        )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.root / ".venv" / "setup.log").read_text()

    def installed(self) -> set[str]:
        """name==version of all that is in the environment, but for pip and its like."""
        listed = subprocess.run(
            (self.root / ".venv/bin/python", "-I", "-m", "pip", "list", "--format=freeze"),
            text=True, capture_output=True, check=True,
        )  # fmt: skip
        return {
            line for line in listed.stdout.split() if not line.startswith(("pip=", "setuptools="))
        }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was set up, for tests that copy it or only look."""
    project = Project(tmp_path_factory.mktemp("finished") / "project")
    done = project.setup()
    assert done.returncode == 0, done.stderr + project.log
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Iterator[Project]:
    """A project that was set up, to change."""
    home = finished.root
    aside = tmp_path / "aside"
    shutil.copytree(home, aside, symlinks=True)
    yield finished
    shutil.rmtree(home)
    shutil.move(aside, home)


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], text=True, capture_output=True, timeout=600, **options
    )  # type: ignore[call-overload, no-any-return]


# ---- what they say -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", BASH, ids=lambda path: path.name)
def test_bash_can_read_it(script: Path):
    done = run("bash", "-n", script)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_it_can_be_started(script: Path):
    assert os.access(script, os.X_OK)
    assert script.open().readline().startswith("#!/usr/bin/env ")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_given_and_nothing_done(name: str, tmp_path: Path):
    copy = tmp_path / "scripts" / name
    copy.parent.mkdir()
    shutil.copy(ROOT / "scripts" / name, copy)
    done = run(copy, "--help", cwd="/")
    assert done.returncode == 0
    assert f"scripts/{name}" in done.stdout or f"usage: {name}" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [copy]


def test_ci_runs_the_documented_command():
    *_, last = (ROOT / ".ci" / "run").read_text().strip().splitlines()
    assert last == "exec scripts/test"


@pytest.mark.parametrize("name", ["setup", "demo"])
def test_an_unknown_option_is_refused(name: str):
    done = run(ROOT / "scripts" / name, "--nonsense")
    assert done.returncode == 2
    assert f"scripts/{name}" in done.stderr


# ---- system packages -----------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with the usual tools, this Python, compilers, and nothing of apt or sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    for compiler in ("cc", "c++"):
        (folder / compiler).symlink_to(shutil.which("true") or "true")
    (folder / "python3").symlink_to(sys._base_executable)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)


def setup_with(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """scripts/setup in an empty project, with only the programs of that folder."""
    project = Project(path.parent / "project")
    return project.setup(*arguments, PATH=str(path), SYSTEM_PACKAGES="", PYTHON="")


HAS_ALL = 'for name in "${@:3}"; do echo "$name installed"; done'
HAS_ALL_BUT_SOUND = HAS_ALL.replace("echo", '[ "$name" = libportaudio2 ] || echo')


def test_without_rights_it_names_the_exact_packages_and_stops(path: Path):
    program(path, "dpkg-query", HAS_ALL_BUT_SOUND)
    program(path, "apt-get", "exit 1")
    program(path, "id", "echo 1000")
    done = setup_with(path)
    assert done.returncode == 3
    assert "apt-get install --no-install-recommends libportaudio2\n" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (path.parent / "project" / ".venv").exists()


def test_with_sudo_that_asks_for_a_password_and_nobody_to_type_it(path: Path):
    program(path, "dpkg-query", HAS_ALL_BUT_SOUND)
    program(path, "apt-get", "exit 1")
    program(path, "id", "echo 1000")
    program(path, "sudo", '[ "$1" != -n ]')
    assert setup_with(path).returncode == 3


def test_with_sudo_it_installs_what_is_missing_and_only_that(path: Path):
    calls = path.parent / "calls"
    program(path, "dpkg-query", HAS_ALL_BUT_SOUND)
    program(path, "apt-get", f'echo "$@" >>{calls}; [ "$1" = update ]')
    program(path, "id", "echo 1000")
    program(path, "sudo", f'[ "$1" = -n ] && exit; echo sudo >>{calls}; shift; "$@"')
    assert setup_with(path).returncode == 1  # the pretended installation fails: enough was seen
    update, install = calls.read_text().removeprefix("sudo\n").split("sudo\n")
    assert update == "update\n"
    assert install.endswith(" libportaudio2\n")
    assert install.startswith("install ")


def test_what_the_tests_need_is_asked_for_only_by_them(path: Path):
    program(path, "dpkg-query", "true")
    program(path, "id", "echo 1000")
    program(path, "apt-get", "exit 1")
    demo = setup_with(path).stderr
    shutil.rmtree(path.parent / "project")
    tests = setup_with(path, "--tests").stderr
    assert "pulseaudio" not in demo
    assert "pulseaudio" in tests
    assert set(demo.split()) <= set(tests.split())


def test_a_compiler_is_asked_for_where_there_is_none(path: Path):
    (path / "c++").unlink()
    program(path, "dpkg-query", "true")
    program(path, "id", "echo 1000")
    program(path, "apt-get", "exit 1")
    assert " build-essential" in setup_with(path).stderr


def test_apt_that_fails_is_shown(path: Path):
    program(path, "dpkg-query", HAS_ALL_BUT_SOUND)
    program(path, "apt-get", "echo the mirror is gone; exit 100")
    program(path, "id", "echo 0")
    done = setup_with(path)
    assert done.returncode == 1
    assert "the mirror is gone" in done.stderr


def test_a_system_without_apt_is_told_the_packages(path: Path):
    done = setup_with(path)
    assert done.returncode == 3
    assert "libportaudio2" in done.stderr
    assert "SYSTEM_PACKAGES=present" in done.stderr


# ---- the environment -----------------------------------------------------------------------------


@one_worker
def test_a_second_run_does_nothing_and_says_nothing(finished: Project):
    before = finished.log, finished.installed()
    done = finished.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (finished.log, finished.installed()) == before
    assert before[1] == {"ours==1", "small==1"}


@one_worker
def test_the_tests_packages_come_on_top(project: Project):
    log = project.log
    assert project.setup("--tests").returncode == 0
    assert project.installed() == {"ours==1", "small==1", "testers==1"}
    assert project.log.startswith(log)
    assert "ours" not in project.log.removeprefix(log)
    assert project.setup().stdout == project.setup("--tests").stdout == ""


@one_worker
def test_a_changed_lock_is_followed(project: Project):
    project.lock("requirements.lock", "ours", "2")
    assert project.setup().returncode == 0
    assert project.installed() == {"ours==2", "small==1"}


@one_worker
def test_a_moved_checkout_gets_a_new_environment(finished: Project, tmp_path: Path):
    there = tmp_path / "moved"
    shutil.copytree(finished.root, there, symlinks=True)
    script = run(there / "scripts" / "setup", env=os.environ | {
        "SYSTEM_PACKAGES": "present", "PIP_NO_INDEX": "1", "PYTHON": sys._base_executable,
    })  # fmt: skip
    assert script.returncode == 0
    assert str(there) in (there / ".venv" / "bin" / "pip").read_text()
    assert str(finished.root / ".venv") not in (there / ".venv" / "bin" / "pip").read_text()


@one_worker
def test_an_installation_that_failed_or_died_shows_why_and_is_mended(project: Project):
    good = (project.root / "requirements.lock").read_text()
    (project.root / "requirements.lock").write_text("not-to-be-had==1\n")
    failed = project.setup()
    assert failed.returncode == 1
    assert "not-to-be-had==1" in failed.stderr
    assert "setup.log" in failed.stderr
    shutil.rmtree(next((project.root / ".venv").glob("lib/python*/site-packages/pip")))
    (project.root / "requirements.lock").write_text(good)
    assert project.setup().returncode == 0
    assert project.installed() == {"ours==1", "small==1"}


def test_a_python_that_does_not_fit_is_named(path: Path):
    program(path, "dpkg-query", HAS_ALL)
    program(path, "python3", "echo Python 3.9.18; exit 1")
    done = setup_with(path)
    assert done.returncode == 4
    assert "Python 3.9.18" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_full_disk_is_noticed_before_the_work(path: Path):
    program(path, "dpkg-query", HAS_ALL)
    program(path, "df", "echo; echo /dev/x 100 90 10 90% /")
    done = setup_with(path)
    assert done.returncode == 5
    assert "10 are free" in done.stderr


@one_worker
def test_two_at_once_wait_for_each_other(finished: Project):
    with subprocess.Popen(
        ("flock", finished.root, "bash", "-c", "echo held; read -r"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        second = subprocess.Popen(
            (finished.root / "scripts" / "setup",), stdout=subprocess.PIPE, text=True,
            env=os.environ | {"SYSTEM_PACKAGES": "present"},
        )  # fmt: skip
        assert second.stdout is not None
        assert "waiting" in second.stdout.readline()
        holder.stdin.write("\n")
        holder.stdin.close()
        assert second.wait(timeout=600) == 0
        second.stdout.close()
