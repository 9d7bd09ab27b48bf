from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas.data.images.decode import ImageCollector, image_names
from nas.errors import DataError
from tests.data.made import message, pixels, png


def decoded(*files: bytes) -> np.ndarray:
    images = ImageCollector()
    names = [str(i) for i in range(len(files))]
    for name, content in zip(names, files, strict=True):
        images.add(name, io.BytesIO(content))
    return images.stacked(names)


def test_png_is_exact() -> None:
    colour, grey = pixels(1), pixels(2, channels=1)
    assert np.array_equal(decoded(png(colour))[0], colour.transpose(2, 0, 1))
    assert np.array_equal(decoded(png(grey))[0, 0], grey)


def test_jpeg_is_what_pillow_reads() -> None:
    content = png(pixels(1, 16), kind="JPEG")
    expected = np.array(Image.open(io.BytesIO(content)))
    assert np.array_equal(decoded(content)[0], expected.transpose(2, 0, 1))


@pytest.mark.parametrize("grey_first", [True, False])
def test_one_coloured_image_makes_all_rgb(grey_first: bool) -> None:
    grey, colour = pixels(1, channels=1), pixels(2)
    files = [png(grey), png(colour)] if grey_first else [png(colour), png(grey)]
    both = decoded(*files)
    assert both.shape == (2, 3, 8, 8)
    assert np.array_equal(both[0 if grey_first else 1], np.stack([grey] * 3))


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("CMYK", 3)]
)
def test_modes_have_one_meaning(mode: str, channels: int) -> None:
    content = png(pixels(3), mode, "JPEG" if mode == "CMYK" else "PNG")
    target = "L" if channels == 1 else "RGB"
    expected = np.array(Image.open(io.BytesIO(content)).convert(target)).reshape(8, 8, channels)
    assert np.array_equal(decoded(content)[0], expected.transpose(2, 0, 1))


def test_a_palette_with_transparency_warns_of_nothing() -> None:
    file = io.BytesIO()
    Image.fromarray(pixels(3)).convert("P").save(file, "PNG", transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoded(file.getvalue()).shape == (1, 3, 8, 8)


def test_sixteen_bits_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(file, "PNG")
    with pytest.raises(DataError, match=r"image 'deep' has Pillow's mode 'I;16'.*8-bit") as caught:
        ImageCollector().add("deep", io.BytesIO(file.getvalue()))
    message(caught)


def test_another_size_names_both_images() -> None:
    images = ImageCollector()
    images.add("first", io.BytesIO(png(pixels(1, 8))))
    with pytest.raises(DataError, match="image 'second' is 9x9, but 'first' is 8x8; resize") as caught:
        images.add("second", io.BytesIO(png(pixels(1, 9))))
    message(caught)


def test_images_must_be_square() -> None:
    with pytest.raises(DataError, match="image 'wide' is 8x5; crop or resize"):
        ImageCollector().add("wide", io.BytesIO(png(pixels(1)[:5])))


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM" + bytes(60)])
def test_what_is_no_image_is_named(content: bytes) -> None:
    with pytest.raises(DataError, match=r"image 'cat\.png' is corrupt or cannot be read") as caught:
        ImageCollector().add("cat.png", io.BytesIO(content))
    assert "BytesIO" not in message(caught)


FILES = [png(pixels(5, 16)), png(pixels(5, 16, channels=1)), png(pixels(5, 16), "P"), png(pixels(5, 16), kind="JPEG")]


@given(content=st.sampled_from(FILES), part=st.floats(0, 1))
def test_a_truncated_image_is_refused(content: bytes, part: float) -> None:
    # The last bytes of a PNG are its checksums and end mark: without them the pixels are whole.
    with pytest.raises(DataError, match="image 'cat' is corrupt") as caught:
        ImageCollector().add("cat", io.BytesIO(content[: int(part * (len(content) - 40))]))
    message(caught)


@given(content=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_damaged_byte_gives_an_image_or_an_error_of_ours(content: bytes, where: float, value: int) -> None:
    damaged = bytearray(content)
    damaged[int(where * len(content))] ^= value
    images, failure = ImageCollector(), ""
    with warnings.catch_warnings():
        # A damaged size can be a huge one, of which Pillow warns.
        warnings.simplefilter("ignore")
        try:
            images.add("cat", io.BytesIO(bytes(damaged)))
        except DataError as error:
            failure = str(error)
    assert "\n" not in failure
    assert "image 'cat'" in failure if failure else images.stacked(["cat"]).dtype == np.uint8


def test_only_images_count_and_in_order() -> None:
    names = ["b.png", "a.JPG", "c.jpeg", ".d.png", "._a.jpg", "Thumbs.db", "png", "e.gif"]
    assert image_names(names) == ["a.JPG", "b.png", "c.jpeg"]
