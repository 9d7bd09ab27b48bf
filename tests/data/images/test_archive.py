from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.data.images.archive import members
from nas.errors import DataError
from tests.data.made import message, write_tar

FILES = {f"folder/{i}.bin": bytes([i]) * (i * 150) for i in range(12)}
EACH = pytest.mark.parametrize("compression", ["", "xz", "gz", "bz2"])


@EACH
def test_files_come_in_order(compression: str, tmp_path: Path) -> None:
    # Under a name that says nothing: the content decides.
    got = list(members(write_tar(tmp_path / "a", FILES, compression)))
    assert got == list(FILES.items())


def test_folders_are_listed_and_links_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        folder, link = tarfile.TarInfo("empty"), tarfile.TarInfo("link.png")
        folder.type = tarfile.DIRTYPE
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(folder)
        archive.addfile(link)
    assert list(members(tmp_path / "a.tar")) == [("empty", None)]


def test_nothing_is_written(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"../outside": b"1", "inside": b"2"})
    assert [name for name, _ in members(tmp_path / "a.tar")] == ["../outside", "inside"]
    assert os.listdir(tmp_path) == ["a.tar"]
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"text" * 400, b"\x1f\x8b", b"\xfd7zXZ\x00nonsense", b"BZh9nonsense"])
def test_what_is_no_tar(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match="is no tar archive, or is truncated") as caught:
        list(members(tmp_path / "a.tar"))
    assert "a.tar" in message(caught)


# Up to here a plain tar is incomplete; after it come only the padding blocks of zeros.
END = sum(512 + -(-len(content) // 512) * 512 for content in FILES.values()) + 512


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(compression=st.sampled_from(["", "xz", "gz", "bz2"]), part=st.floats(0, 1, exclude_max=True), near=st.booleans())
def test_a_truncated_archive_is_never_a_short_one(tmp_path: Path, compression: str, part: float, near: bool) -> None:
    content = write_tar(tmp_path / "a", FILES, compression).read_bytes()
    cut = int(part * (END if compression == "" else len(content)))
    if near and compression == "":
        cut -= cut % 512
    (tmp_path / "cut").write_bytes(content[:cut])
    with pytest.raises(DataError, match="truncated") as caught:
        list(members(tmp_path / "cut"))
    message(caught)


def test_a_damaged_header_does_not_end_the_list(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "a.tar", FILES).read_bytes())
    at = content.index(b"folder/7.bin")
    content[at + 148 : at + 156] = b"damaged!"
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged"):
        list(members(tmp_path / "a.tar"))


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2"])  # a plain tar has checksums of its headers alone
def test_a_damaged_compressed_archive(compression: str, tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "a.tar", FILES, compression).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match="truncated"):
        list(members(tmp_path / "a.tar"))


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("huge")
    entry.size = 2**40
    file = io.BytesIO(entry.tobuf() + bytes(2048))
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    with pytest.raises(DataError, match="truncated"):
        list(members(tmp_path / "a.tar"))
