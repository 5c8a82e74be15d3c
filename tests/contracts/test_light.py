"""What every Light must do; and how the terminal's looks."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest

from assistant import errors
from assistant.ports import Light
from hardware.fakes import DarkLight, FakeLight
from hardware.light import TerminalLight, require_lit


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["fake", "terminal", "file"])
def light(request: pytest.FixtureRequest) -> Light:
    if request.param == "fake":
        return FakeLight()
    return TerminalLight(Terminal() if request.param == "terminal" else io.StringIO())


def test_it_is_on_only_while_held(light: Light) -> None:
    with light.recording() as lit:
        assert lit.on
        require_lit(lit)
    assert not lit.on
    with pytest.raises(errors.LightDark):
        require_lit(lit)


def test_it_goes_out_after_a_fault_too(light: Light) -> None:
    with pytest.raises(ZeroDivisionError), light.recording() as lit:
        raise ZeroDivisionError
    assert not lit.on


def test_two_may_hold_it(light: Light) -> None:
    with light.recording() as first:
        with light.recording() as second:
            assert first.on
            assert second.on
        assert first.on
        assert not second.on
    assert not first.on


def test_where_it_cannot_be_lit_nothing_may_be_captured() -> None:
    with pytest.raises(errors.LightDark), DarkLight().recording():
        pytest.fail("it was lit")


def test_a_closed_stream_cannot_be_lit() -> None:
    stream = io.StringIO()
    light = TerminalLight(stream)
    with light.recording() as lit:
        stream.close()
        assert not lit.on  # it goes out with its stream
    with pytest.raises(errors.LightDark), light.recording():
        pytest.fail("it was lit")


def test_a_stream_that_takes_no_words_cannot_be_lit() -> None:
    full = open("/dev/full", "w")  # noqa: SIM115
    with pytest.raises(errors.LightDark), TerminalLight(full).recording():
        pytest.fail("it was lit")
    with suppress(OSError):
        full.close()  # what could not be written cannot be written now either


def test_on_a_terminal_it_is_red_and_erases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with TerminalLight(stream).recording():
        assert stream.getvalue() == "\x1b[31m● recording\x1b[0m\n"
    assert stream.getvalue().endswith("\n○ not recording\n")


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with TerminalLight(stream).recording():
        assert "● recording" in stream.getvalue()
    assert "\x1b[3" not in stream.getvalue()


def test_it_is_lit_once_for_all_who_hold_it() -> None:
    stream = io.StringIO()
    light = TerminalLight(stream)
    with light.recording(), light.recording():
        assert stream.getvalue() == "● recording\n"
    assert stream.getvalue() == "● recording\n○ not recording\n"
