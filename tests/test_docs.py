"""The README says what is there, all of it, and nothing that is not."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.__main__ import parser
from assistant.config import Config
from assistant.errors import AssistantError, leaves

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
FIRST_SCREEN = "\n".join(README.splitlines()[:30])
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
"""Language and text of each block of code."""


def source_files() -> Iterator[str]:
    """What the tree must name: all code but the packages' own lines."""
    for folder in ("assistant", "models", "hardware", "scripts"):
        for path in sorted((ROOT / folder).rglob("*")):
            script = folder == "scripts" and not path.suffix
            if path.is_file() and (path.suffix == ".py" or script) and path.name != "__init__.py":
                yield str(path.relative_to(ROOT))


def tree() -> dict[str, str]:
    """Path -> description, from the block that draws the tree by indentation, one entry a line.

    A folder's name ends in a slash.
    """
    drawings = [text for _, text in BLOCKS if re.search(r"^assistant/", text, re.MULTILINE)]
    assert len(drawings) == 1, "the README has one tree, with a line `assistant/`"
    entries: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in filter(str.strip, drawings[0].splitlines()):
        indentation = len(line) - len(line.lstrip())
        name, _, description = line.strip().partition(" ")
        above = [(depth, folder) for depth, folder in above if depth < indentation]
        path = "".join(folder for _, folder in above) + name
        if name.endswith("/"):
            above.append((indentation, name))
        entries[path] = description.strip()
    return entries


def shown_commands() -> Iterator[str]:
    """The lines of shell in the README."""
    for language, text in BLOCKS:
        for line in text.splitlines():
            if language == "sh" or line.startswith("$ "):
                yield line.removeprefix("$ ")


def test_nothing_is_left_to_be_filled_in():
    assert re.findall(r"^@\w+@$", README, re.MULTILINE) == []


def test_the_two_commands_stand_on_the_first_screen():
    assert re.search(r"^scripts/demo\b", FIRST_SCREEN, re.MULTILINE)
    assert re.search(r"^scripts/test\b", FIRST_SCREEN, re.MULTILINE)


def test_the_first_screen_leads_to_a_waterfall():
    assert re.search(r"^  whole turn .* ms", README, re.MULTILINE)


@pytest.mark.parametrize("path", list(source_files()))
def test_the_tree_has_a_line_for_each_file(path: str):
    assert tree().get(path), f"{path} has no line, or no words, in the README's tree"


def test_all_that_the_tree_names_is_there():
    assert [path for path in tree() if not (ROOT / path).exists()] == []


def test_every_command_is_shown():
    (commands,) = (each for each in parser()._actions if each.choices)
    shown = {words[1] for line in shown_commands() if (words := line.split())[:1] == ["assistant"]}
    assert shown == set(commands.choices or ())


def test_every_shown_command_is_understood():
    for line in shown_commands():
        program, *arguments = shlex.split(line, comments=True) or [""]
        if program == "assistant":
            parser().parse_args(arguments)  # SystemExit where it does not fit
        elif program.startswith("scripts/"):
            assert (ROOT / program).is_file(), line


@pytest.mark.parametrize("name", ["demo", "test", "run", "bench"])
def test_every_script_that_a_person_starts_is_named(name: str):
    assert f"scripts/{name}" in README


@pytest.mark.parametrize("section", list(Config.model_fields))
def test_every_section_of_the_settings_is_named(section: str):
    assert re.search(rf"`{section}`|`\[{section}\]`|^\[{section}\]", README, re.MULTILINE)


def test_every_shown_setting_exists():
    shown = re.findall(r"ASSISTANT_([A-Z]+)__([A-Z_]+)", README)
    assert shown
    for section, name in shown:
        fields = Config.model_fields[section.lower()].annotation.model_fields  # type: ignore[union-attr]
        assert name.lower() in fields


@pytest.mark.parametrize("error", leaves(), ids=lambda error: error.code)
def test_every_error_stands_there_with_its_exit_status(error: type[AssistantError]):
    code, status = error.code, error.status
    assert re.search(rf"\b{code}\b\W+{status}\b|\b{status}\b\W+{code}\b", README)


def test_the_licence_is_ours_and_the_gpl_is_told():
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License\n")
    assert "Apache-2.0" in README
    assert "GPL-3.0-or-later" in README
    assert "piper-tts" in README
    assert "espeak-ng" in README


@pytest.mark.parametrize("how", ["an engine", "a device", "a tool"])
def test_it_tells_how_to_add(how: str):
    assert re.search(rf"^#+ Add {how}$", README, re.MULTILINE)
