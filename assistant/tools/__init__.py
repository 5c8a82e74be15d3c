"""What the assistant can do. One capability a file; `@tool` makes a function known.

A tool is an async function of `Hands` and of typed arguments (from a phrase or a model, checked
before it runs). It declares its effect, if it has one, and returns a Receipt: "done" is said only
from a receipt. To add one: write the function in a file here and import the file in `known()`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from assistant.errors import Refused
from assistant.policy import Sink
from assistant.ports import Reader, ToolSpec
from assistant.turn import OWN_WORDS, Label, Turn

if TYPE_CHECKING:
    from pydantic import BaseModel

    from assistant.clock import Clock
    from assistant.schedule import Timers


@dataclass(frozen=True, slots=True)
class Hands:
    """All that a tool may touch."""

    turn: Turn
    clock: Clock
    timers: Timers
    reader: Reader
    rings: bool
    """Whether a daemon runs that will ring what is set."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a tool found or did: the words to say, their label, and countable facts."""

    text: str
    label: Label = OWN_WORDS
    facts: Mapping[str, Any] = field(default_factory=dict)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    spec: ToolSpec
    sink: Sink | None
    """What its effect reaches; None: it only looks something up."""
    model: type[BaseModel]
    run: Callable[..., Awaitable[Receipt]]

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, checked and typed. Raises Refused where they do not fit."""
        try:
            return self.model.model_validate(dict(given)).model_dump()
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(str(part) for part in fault["loc"])
            raise Refused(
                f"I cannot {self.spec.name.replace('_', ' ')}: {name} is wrong."
            ) from None


_TOOLS: dict[str, Tool] = {}


def tool(effect: Sink | None = None) -> Callable[[Callable[..., Awaitable[Receipt]]], Any]:
    """Makes a function known as a tool: its name, its docstring's first line and its typed
    arguments after `hands` (described by pydantic's Field) become what a model is told."""

    def known_as(function: Callable[..., Awaitable[Receipt]]) -> Callable[..., Awaitable[Receipt]]:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if each.default is each.empty else each.default)
            for name, each in list(inspect.signature(function).parameters.items())[1:]
        }
        model = create_model(
            function.__name__, __config__=ConfigDict(extra="forbid", str_max_length=200), **fields
        )
        schema = model.model_json_schema()
        for each in (schema, *schema["properties"].values()):
            each.pop("title", None)
        description = (inspect.getdoc(function) or "").splitlines()[0]
        spec = ToolSpec(function.__name__, description, schema)
        _TOOLS[spec.name] = Tool(spec, effect, model, function)
        return function

    return known_as


def known() -> Mapping[str, Tool]:
    """Every tool by name, in the order in which a model is told of them."""
    from assistant.tools import clock, help, reading, timers  # noqa: F401 - importing makes known

    order = [
        *("tell_time", "tell_date", "set_timer", "list_timers", "cancel_timer"),
        *("read_text", "what_can_you_do"),
    ]
    return {name: _TOOLS[name] for name in order}
