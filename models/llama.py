"""A chosen chat model: takes messages and tools, streams text and calls.

A GGUF file, run by llama.cpp through llama-cpp-python. The prompt is made with the model's own
chat template: the library's named formats drop the tools. llama.cpp keeps the last prompt's
cache, so what stays the same at its beginning is evaluated once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from assistant.errors import EngineFailed, ModelDamaged, ModelMissing
from assistant.ports import Call, Message, ToolSpec
from models import installed
from models.gguf import NotGguf, facts
from models.reply import THINK, Reply

MOST_TOKENS = 1024
"""In one reply: a small model that goes round in circles must end some time."""
PREFILL = 128
"""Tokens evaluated at once. The library keeps that many rows of scores: with a vocabulary of
152,000, 78 MB for 128 and 311 MB for its default of 512."""

_TEMPLATE = "tokenizer.chat_template"
_MEND = "Fetch the model again, or remove it from the models folder."
# What could end a message and begin another in the words of a template: text is data.
_MARK = re.compile(r"<(?=[|/A-Za-z_])|\[(?=/?[A-Z_]+\])")


class Llama:
    """The model in `file`, on so many threads, with a window of at most `context` tokens.

    Raises what `check` raises, and EngineMissing without llama-cpp-python.
    """

    name = "llama"

    def __init__(self, file: str, threads: int = 1, context: int = 4096) -> None:
        header = check(file)
        try:
            import llama_cpp
            from llama_cpp.llama_chat_format import Jinja2ChatFormatter
        except (ImportError, OSError, RuntimeError) as error:  # it loads its library by ctypes
            raise installed.unusable("llama-cpp-python") from error
        trained = header.get(f"{header.get('general.architecture')}.context_length")
        self._window = min(context, trained) if isinstance(trained, int) and trained else context
        try:
            self._llama = llama_cpp.Llama(
                model_path=str(file),
                n_ctx=self._window,
                n_batch=PREFILL,
                n_threads=threads,
                n_threads_batch=threads,
                verbose=False,
            )
            self._format = Jinja2ChatFormatter(
                template=header[_TEMPLATE],
                eos_token=self._spelling(self._llama.token_eos()),
                bos_token=self._spelling(self._llama.token_bos()),
            )
        except Exception as error:  # ValueError, AssertionError, and Jinja's for a bad template
            raise ModelDamaged(f"The chat model {file} cannot be loaded.", _MEND) from error

    def chat(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Iterator[str | Call]:
        """Pieces of text and calls as they come, the likeliest token each time (temperature 0).

        Raises EngineFailed for a conversation longer than the window, one that the model's
        template refuses, and a call that cannot be read (reply.py).
        """
        prompt = self._prompt(messages, tools)
        written = prompt.encode("utf-8", "replace")
        tokens = self._llama.tokenize(written, add_bos=False, special=True)
        if len(tokens) >= self._window:
            raise EngineFailed(
                f"The conversation is {len(tokens)} tokens long, and the language model takes "
                f"{self._window}.",
                "Start a new conversation, or choose a model with a larger context.",
            )
        reply = Reply(thinking=prompt.rstrip().endswith(THINK))
        pieces: Any = self._llama.create_completion(
            tokens,
            max_tokens=min(MOST_TOKENS, self._window - len(tokens)),
            temperature=0.0,
            repeat_penalty=1.0,
            stream=True,
        )
        with closing(pieces):
            for piece in pieces:
                yield from reply.add(piece["choices"][0]["text"])
        yield from reply.end()

    def _prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        try:
            return str(
                self._format(
                    messages=_as_dicts(messages),
                    tools=_as_tools(tools) or None,
                    enable_thinking=False,  # templates that know no thinking ignore it
                ).prompt
            )
        except Exception as error:  # a template is a program of its own, and may raise anything
            raise EngineFailed(
                "The language model's template does not take this conversation.",
                "Choose a model that is made for tools.",
            ) from error

    def _spelling(self, token: int) -> str:
        """How a special token is written; nothing for one that the model lacks."""
        return "" if token < 0 else self._llama.detokenize([token], special=True).decode()


def check(file: str | Path) -> Mapping[str, Any]:
    """A quick look that the file is a whole chat model; gives its header (gguf.py).

    Raises ModelMissing or ModelDamaged.
    """
    file = Path(file)
    if not file.is_file():
        raise ModelMissing(f"There is no chat model {file}.", _MEND)
    try:
        header = facts(file)
    except (NotGguf, OSError) as error:
        raise ModelDamaged(f"The chat model {file} is damaged: {error}.", _MEND) from error
    if not isinstance(header.get(_TEMPLATE), str):
        raise ModelDamaged(
            f"The model {file} has no chat template.", "Choose a model that is made for chat."
        )
    return header


def _as_tools(tools: Sequence[ToolSpec]) -> list[Any]:
    """In OpenAI's form, which templates expect."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in tools
    ]


def _as_dicts(messages: Sequence[Message]) -> list[Any]:
    """In OpenAI's form too. A tool's result answers the oldest call that has none yet."""
    dicts: list[dict[str, Any]] = []
    numbers, unanswered = count(), list[tuple[str, str]]()
    for message in messages:
        text = message.text if message.role == "system" else _MARK.sub(r"\g<0> ", message.text)
        entry: dict[str, Any] = {"role": message.role, "content": text}
        if message.calls:
            entry["tool_calls"] = []
        for call in message.calls:
            number = f"call{next(numbers):05d}"  # nine signs: Mistral's templates insist
            unanswered.append((number, call.name))
            function = {"name": call.name, "arguments": dict(call.arguments)}
            entry["tool_calls"].append({"id": number, "type": "function", "function": function})
        if message.role == "tool" and unanswered:
            entry["tool_call_id"], entry["name"] = unanswered.pop(0)
        dicts.append(entry)
    return dicts
