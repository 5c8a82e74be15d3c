"""Picture files: any usual one comes in upright, any bad one ends in one sentence."""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assistant import errors
from hardware import picture

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 96, 64


def drawing() -> Image.Image:
    """Red above blue."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (220, 20, 20))
    image.paste((20, 20, 220), (0, HEIGHT // 2, WIDTH, HEIGHT))
    return image


def refused(path: Path, error: type[errors.AssistantError]) -> str:
    with pytest.raises(error) as caught:
        picture.decode(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
def test_any_usual_format(tmp_path: Path, ending: str) -> None:
    drawing().save(tmp_path / f"a.{ending}")
    pixels = picture.decode(tmp_path / f"a.{ending}").pixels
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[10, 10], (220, 20, 20), atol=12)
    np.testing.assert_allclose(pixels[-10, 10], (20, 20, 220), atol=12)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    source = drawing()
    if mode in ("I;16", "F"):
        grey = np.asarray(source.convert("L"), np.uint16) * 200
        image = Image.fromarray(grey if mode == "I;16" else grey.astype(np.float32))
    else:
        image = source.convert(mode)
    image.save(tmp_path / "a.tiff")
    pixels = picture.decode(tmp_path / "a.tiff").pixels
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    if mode != "1":  # dithered
        assert (pixels[10, 10] != pixels[-10, 10]).any()


def test_transparent_parts_show_white(tmp_path: Path) -> None:
    layer = drawing().convert("RGBA")
    layer.paste((0, 0, 0, 0), (0, 0, 20, 20))
    layer.save(tmp_path / "a.png")
    pixels = picture.decode(tmp_path / "a.png").pixels
    assert tuple(pixels[5, 5]) == (255, 255, 255)
    assert tuple(pixels[5, 50]) == (220, 20, 20)


def test_it_is_turned_as_the_camera_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the right side of the picture is up
    drawing().save(tmp_path / "a.jpg", exif=exif)
    pixels = picture.decode(tmp_path / "a.jpg").pixels
    assert pixels.shape == (WIDTH, HEIGHT, 3)
    assert pixels[10, -10, 0] > 200 > 50 > pixels[10, -10, 2]  # what was above is right


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    white = Image.new("RGB", (WIDTH, HEIGHT), "white")
    drawing().save(tmp_path / "a.gif", save_all=True, append_images=[white, white])
    np.testing.assert_allclose(
        picture.decode(tmp_path / "a.gif").pixels[10, 10], (220, 20, 20), atol=12
    )


def test_missing_empty_and_other_files_each_have_their_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("This is no picture.\n" * 100)
    assert "no picture" in refused(tmp_path / "none.jpg", errors.PictureMissing)
    assert "folder" in refused(tmp_path, errors.PictureMissing)
    assert "empty" in refused(tmp_path / "empty.jpg", errors.PictureUnreadable)
    assert "no picture" in refused(tmp_path / "text.jpg", errors.PictureUnreadable)
    assert "device" in refused(Path("/dev/zero"), errors.PictureUnreadable)
    wav = Path(__file__).parent / "audio" / "what-time.wav"
    assert "no picture" in refused(wav, errors.PictureUnreadable)
    refused(tmp_path / ("x" * 300), errors.PictureMissing)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tiff", "ppm", "avif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, ending: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    file = tmp_path / f"a.{ending}"
    Image.fromarray(noise).save(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, errors.PictureUnreadable)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tiff", "avif"])
def test_damaged_files_end_in_a_picture_or_a_sentence(tmp_path: Path, ending: str) -> None:
    file, dice = tmp_path / f"a.{ending}", np.random.default_rng(2)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    drawing().save(file, **({} if ending in ("gif", "bmp") else {"exif": exif}))
    content = file.read_bytes()
    for _ in range(40):
        damaged = bytearray(content)
        for at in dice.integers(0, len(content), 5):
            damaged[at] = dice.integers(256)
        file.write_bytes(damaged)
        with suppress(errors.SeeingError):
            assert picture.decode(file).pixels.dtype == np.uint8


def test_a_hundred_megapixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("the pixels were decoded"))
    (tmp_path / "bomb.png").write_bytes(white_png(10_000, 10_000))
    said = refused(tmp_path / "bomb.png", errors.PictureTooLarge)
    assert "10000 by 10000" in said
    assert "100 million" in said
    assert "50 million" in said
    (tmp_path / "bomb.png").write_bytes(white_png(100_000, 100_000, rows=10))
    assert "million" in refused(tmp_path / "bomb.png", errors.PictureTooLarge)


def white_png(width: int, height: int, rows: int | None = None) -> bytes:
    """A PNG of one bit a pixel: small, whatever its size says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    line = b"\0" + b"\xff" * ((width + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(line * (rows or height))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    drawing().save(tmp_path / "a.png")
    assert picture.decode(tmp_path / "a.png", WIDTH * HEIGHT).pixels.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(errors.PictureTooLarge):
        picture.decode(tmp_path / "a.png", WIDTH * HEIGHT - 1)


def test_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    drawing().save(folder / "a.png")
    user = os.geteuid()
    folder.chmod(0o000)
    try:
        if user == 0:
            os.seteuid(65_534)
        assert "read permission" in refused(folder / "a.png", errors.NotPermitted)
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def test_no_decoder_that_runs_another_program(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    drawing().save(buffer, "EPS")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    refused(tmp_path / "a.png", errors.PictureUnreadable)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("sign.jpg", (720, 1280, 3)), ("menu.png", (400, 640, 3)), ("blank.png", (360, 640, 3))],
)
def test_the_samples(name: str, shape: tuple[int, int, int]) -> None:
    assert picture.decode(PICTURES / name).pixels.shape == shape
