"""A look into a GGUF file before llama.cpp sees it: takes a path, gives what its header says.

llama.cpp maps the file into memory, where a cut-off one ends the process with SIGBUS, and it trusts
the header's numbers. So they are held against the file's size here. The format is that of ggml's
docs/gguf.md; weights are not read.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MOST_SIDES = 4  # GGML_MAX_DIMS
_BLOCKS = {  # ggml's types: (values in a block, bytes of it)
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class NotGguf(ValueError):
    """The file is of another kind, cut off, or contradicts itself."""


def facts(file: Path) -> Mapping[str, Any]:
    """The header's numbers and strings by key; of arrays, their lengths.

    Raises NotGguf, and OSError if the file cannot be read.
    """
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise NotGguf("another kind of file")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Header(data).read()
            except (struct.error, UnicodeDecodeError, KeyError, RecursionError) as error:
                raise NotGguf("cut off or damaged") from error


class _Header:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 4

    def read(self) -> Mapping[str, Any]:
        if self._number("I") not in (2, 3):
            raise NotGguf("a version that is not known")
        tensors, pairs = self._number("Q"), self._number("Q")
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._string()
            found[key] = self._value(self._number("I"))
        ends = [self._tensor_end() for _ in range(tensors)]
        step = found.get("general.alignment", 32)
        if not isinstance(step, int) or step <= 0 or not ends:
            raise NotGguf("no tensors")
        if -(-self._at // step) * step + max(ends) > len(self._data):
            raise NotGguf("cut off")
        return found

    def _tensor_end(self) -> int:
        """Where a tensor's bytes end, counted from the start of the data."""
        self._string()
        if (count := self._number("I")) > _MOST_SIDES:
            raise NotGguf("damaged")
        sides = [self._number("Q") for _ in range(count)]
        values, size = _BLOCKS.get(self._number("I"), (1, 0))  # a newer type: llama.cpp decides
        offset = self._number("Q")
        return int(offset + prod(sides) // values * size)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        inner, length = self._number("I"), self._number("Q")
        if inner in _NUMBERS:
            self._skip(length * struct.calcsize(_NUMBERS[inner]))
        else:
            for _ in range(length):
                self._skip(self._number("Q")) if inner == _STRING else self._value(inner)
        return length

    def _number(self, form: str) -> Any:
        value = struct.unpack_from("<" + form, self._data, self._at)[0]
        self._at += struct.calcsize("<" + form)
        return value

    def _string(self) -> str:
        length = self._number("Q")
        start = self._at
        self._skip(length)
        return self._data[start : self._at].decode("utf-8")

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > len(self._data):
            raise NotGguf("cut off")
