"""The lock files: no address in them, and a wheel for a 64-bit Arm board wherever there is one.

What wheels there are stands in locked_wheels.toml, which scripts/lock writes; nothing is fetched.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
BUILT_HERE = {
    (3, 11): {"llama-cpp-python"},
    (3, 12): {"llama-cpp-python", "pocketsphinx"},
    (3, 13): {"llama-cpp-python"},
}
"""By Python, what has no wheel. 3.11 and 3.13 are those of Debian 12 and 13, and of a board."""
GLIBC = 36
"""Of Debian 12: 2.36. Debian 13 has 2.41, which takes all that 2.36 takes."""
OLDEST_GLIBC_ON_ARM = 17


def locked(lock: str) -> list[Requirement]:
    return [Requirement(line) for line in (ROOT / lock).read_text().splitlines()]


def offered() -> dict[str, list[str]]:
    """Package==version to the tags of its wheels."""
    tables = tomllib.loads((ROOT / "tests" / "locked_wheels.toml").read_text())
    return {pinned: table["wheels"] for pinned, table in tables.items()}


def pinned(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def board(python: tuple[int, int]) -> dict[str, str]:
    """What a marker sees on a 64-bit Raspberry Pi OS."""
    version = f"{python[0]}.{python[1]}"
    return {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "aarch64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "python_version": version,
        "python_full_version": f"{version}.2",
    }


def accepted(python: tuple[int, int]) -> set[Tag]:
    """Every tag that pip takes there."""
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(GLIBC, OLDEST_GLIBC_ON_ARM, -1)]
    platforms += ["manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"]
    interpreter = f"cp{python[0]}{python[1]}"
    return {
        *cpython_tags(python, platforms=platforms),
        *compatible_tags(python, interpreter, platforms),
    }


def test_what_is_accepted_tells_wheels_apart():
    bookworm = accepted((3, 11))
    assert parse_tag("cp39-abi3-manylinux_2_28_aarch64") & bookworm
    assert parse_tag("py3-none-any") & bookworm
    assert not parse_tag("cp312-abi3-manylinux_2_28_aarch64") & bookworm
    assert not parse_tag("cp313-cp313-manylinux_2_28_aarch64") & bookworm
    assert not parse_tag("cp311-cp311-manylinux_2_39_aarch64") & bookworm
    assert not parse_tag("cp311-cp311-manylinux_2_28_x86_64") & bookworm


def test_the_noted_wheels_are_those_of_the_locked_packages():
    assert set(offered()) == {pinned(each) for lock in LOCKS for each in locked(lock)}


@pytest.mark.parametrize("python", BUILT_HERE)
@pytest.mark.parametrize("lock", LOCKS)
def test_an_arm_board_needs_no_compiler_but_for_what_is_known(lock: str, python: tuple[int, int]):
    wheels, tags, there = offered(), accepted(python), board(python)
    needed = [each for each in locked(lock) if each.marker is None or each.marker.evaluate(there)]
    without = {
        each.name
        for each in needed
        if not any(parse_tag(tag) & tags for tag in wheels[pinned(each)])
    }
    assert without == (BUILT_HERE[python] if lock == "requirements.lock" else set())


@pytest.mark.parametrize("python", BUILT_HERE)
def test_each_package_is_locked_once_for_a_python(python: tuple[int, int]):
    there = board(python)
    names = [each.name for lock in LOCKS for each in locked(lock) if each.marker.evaluate(there)]
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= shared_by_both_locks()


def shared_by_both_locks() -> set[str]:
    first, second = ({each.name for each in locked(lock)} for lock in LOCKS)
    return first & second


def test_packages_in_both_locks_have_the_same_version():
    first, second = ({each.name: pinned(each) for each in locked(lock)} for lock in LOCKS)
    assert {name: first[name] for name in first.keys() & second} == {
        name: second[name] for name in first.keys() & second
    }


def test_what_pyproject_asks_for_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = {
        "requirements.lock": project["project"]["dependencies"],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for lock, requirements in asked.items():
        found = {each.name: each.specifier for each in locked(lock)}
        for requirement in map(Requirement, requirements):
            (version,) = (spec.version for spec in found[requirement.name])
            assert version in requirement.specifier


@pytest.mark.parametrize("file", [*LOCKS, "tests/locked_wheels.toml"])
def test_no_address_stands_in_the_locks(file: str):
    assert not re.search(r"https?:|file:|git\+|--|@ ", (ROOT / file).read_text())
