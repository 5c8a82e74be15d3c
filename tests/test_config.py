"""Settings: where each comes from, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assistant import config
from assistant.config import Config, load
from assistant.errors import UnknownSetting, UnreadableConfig, WrongSetting


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text("")
    monkeypatch.setenv("ASSISTANT_CONFIG", str(path))
    return path


def row(name: str) -> tuple[Any, str]:
    return next((value, origin) for each, value, origin, _ in load().rows() if each == name)


def test_every_setting_has_help_and_a_default() -> None:
    rows = list(load().rows())
    assert len(rows) >= 20
    assert [name for name, _, _, text in rows if not text.endswith(".")] == []
    assert {origin for _, _, origin, _ in rows} == {"default"}


def test_the_environment_beats_the_file_which_beats_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert row("listen.longest") == (60.0, "default")
    file.write_text("[listen]\nlongest = 30\n[engines]\nthreads = 2\n")
    assert row("listen.longest") == (30.0, str(file))
    monkeypatch.setenv("ASSISTANT_LISTEN__LONGEST", "20")
    assert row("listen.longest") == (20.0, "ASSISTANT_LISTEN__LONGEST")
    assert row("engines.threads") == (2, str(file))


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("[listen]\nlongst = 3", UnknownSetting, "Did you mean listen.longest?"),
        ("[lisen]\nlongest = 3", UnknownSetting, "Did you mean listen.longest?"),
        ("zzz = 3", UnknownSetting, "`assistant config` lists all there are."),
        ("[listen]\nlongest = 'long'", WrongSetting, "The setting listen.longest (from "),
        ("[listen]\nlongest = -1", WrongSetting, "greater than 0"),
        ("[listen]\nthreshold = nan", WrongSetting, "listen.threshold"),
        ("[engines]\nvoice = 'opera'", WrongSetting, "'auto', 'espeak' or 'piper'"),
        ("listen = 3", WrongSetting, "The setting listen (from "),
        ("[engines]\nbiased = 'perhaps'", WrongSetting, "engines.biased"),
        ("[listen", UnreadableConfig, "is not TOML"),
        ("a = 1\na = 2", UnreadableConfig, "is not TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_would_be_right(
    file: Path, text: str, error: type[Exception], says: str
) -> None:
    file.write_text(text)
    with pytest.raises(error) as told:
        load()
    assert says in str(told.value)
    assert str(file) in str(told.value)


@pytest.mark.parametrize("content", [b"\xff\xfe[", b"\x00", b"\x80 = 1"])
def test_bytes_that_are_no_text(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableConfig, match="is not TOML"):
        load()


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("ASSISTANT_LISTEN__LONGST", "Did you mean listen.longest?"),
        ("ASSISTANT_LISTEN", "The setting listen"),
        ("ASSISTANT_LISTEN__LONGEST__MORE", "Did you mean listen.longest?"),
        ("ASSISTANT_NONSENSE", "There is no setting nonsense"),
        ("ASSISTANT_", "There is no setting"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, says: str
) -> None:
    monkeypatch.setenv(variable, "5")
    with pytest.raises((UnknownSetting, WrongSetting)) as told:
        load()
    assert says in str(told.value)
    assert f"(from {variable})" in str(told.value)


def test_a_file_that_is_named_must_be_there(file: Path) -> None:
    file.unlink()
    with pytest.raises(UnreadableConfig, match="There is no settings file"):
        load()


def test_a_folder_is_no_settings_file(file: Path) -> None:
    file.unlink()
    file.mkdir()
    with pytest.raises(UnreadableConfig, match="I cannot read"):
        load()


@pytest.mark.parametrize("name", [name for name, _, _ in config._leaves(Config())])
def test_nothing_can_be_changed(name: str) -> None:
    section, field = name.split(".")
    with pytest.raises(ValidationError):
        setattr(getattr(Config(), section), field, 1)
    with pytest.raises(ValidationError):
        setattr(Config(), section, None)
