"""What every Reader must do."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from assistant.child import Child
from assistant.engines import LaneReader
from assistant.flow import Here
from assistant.ports import Reader
from assistant.turn import Frame
from models.ocr import Rapid
from models.scripted import ScriptedReader

from .conftest import MakeLane, Run

WORDS = ("FRESH BREAD", "Open until seven", "Ring the bell twice")


@pytest.fixture(params=["scripted", "rapidocr", "rapidocr in a child"])
def reader(request: pytest.FixtureRequest, lane: MakeLane) -> Reader:
    if request.param == "scripted":
        return ScriptedReader(WORDS)
    if request.param == "rapidocr":
        return LaneReader(lane(Here("rapidocr", Rapid)))
    return LaneReader(lane(Child("models.ocr:Rapid", {"threads": 1})))


def drawn(lines: tuple[str, ...], width: int = 800, height: int = 400) -> Frame:
    """The lines below each other, black on a light ground."""
    picture = Image.new("RGB", (width, height), (240, 235, 220))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=height / 10)
    for row, line in enumerate(lines):
        draw.text((width / 20, height * (row + 0.5) / (len(lines) + 0.5)), line, "black", font)
    return Frame(np.asarray(picture))


def test_a_blank_picture_has_no_text(reader: Reader, run: Run) -> None:
    for size, grey in [((400, 800), 255), ((8, 8), 0), ((1, 1), 128), ((1, 500), 0), ((700, 3), 9)]:
        assert run(reader.read(Frame(np.full((*size, 3), grey, np.uint8)))) == ()


def test_words_are_read_in_order_within_the_picture(reader: Reader, run: Run) -> None:
    frame = drawn(WORDS)
    before = frame.pixels.copy()
    lines = run(reader.read(frame))
    assert [line.text.lower() for line in lines] == [words.lower() for words in WORDS]
    height, width = frame.pixels.shape[:2]
    for line in lines:
        left, top, right, bottom = line.box
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert 0 <= line.confidence <= 1
    tops = [line.box[1] for line in lines]
    assert tops == sorted(tops)
    np.testing.assert_array_equal(frame.pixels, before)


def test_it_reads_again(reader: Reader, run: Run) -> None:
    frame = drawn(WORDS)
    assert run(reader.read(frame)) == run(reader.read(frame)) != ()


@pytest.mark.parametrize(("width", "height"), [(320, 160), (3200, 1600)])
def test_small_and_large_pictures(reader: Reader, run: Run, width: int, height: int) -> None:
    lines = run(reader.read(drawn(WORDS, width, height)))
    assert [line.text.lower() for line in lines] == [words.lower() for words in WORDS]
    assert max(line.box[3] for line in lines) > height / 2, "boxes are in the picture's own pixels"
