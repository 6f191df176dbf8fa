"""Unpacking streams of any of the formats, within bounds of memory."""

import bz2
import gzip
import lzma
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import pytest

from damage import damaged
from mmio.unpacking import PIECE, WINDOW, UnpackError, unpacked

Pack = Callable[[bytes], bytes]
ZSTD = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def zstd(data: bytes) -> bytes:
    """As the program `zstd` does, with a checksum."""
    packed: bytes = ZSTD.compress(data, options={ZSTD.CompressionParameter.checksum_flag: 1})
    return packed


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "Zstandard": zstd}
TEXT = b"".join(b"line %d\n" % number for number in range(50_000))

every_format = pytest.mark.parametrize(("name", "pack"), PACKERS.items(), ids=PACKERS)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 32_768])
@every_format
def test_any_format_in_chunks_of_any_size(name: str, pack: Pack, size: int) -> None:
    text = TEXT[:5000] if size == 1 else TEXT
    assert b"".join(unpacked(chunks(pack(text), size))) == text


@pytest.mark.parametrize("data", [b"", b"a", b"BZ", b"plain text", b"\x1f", b"\xfd7zX"])
def test_what_is_not_compressed_comes_as_it_is(data: bytes) -> None:
    assert b"".join(unpacked(chunks(data, 1))) == data


@every_format
def test_members_and_padding_follow_each_other(name: str, pack: Pack) -> None:
    data = pack(b"one ") + pack(b"two ") + bytes(512) + pack(b"three") + bytes(3)
    assert b"".join(unpacked(chunks(data, 9))) == b"one two three"


@every_format
def test_what_comes_before_the_damage_comes_first(name: str, pack: Pack) -> None:
    good, bad = pack(b"good\n"), bytearray(pack(TEXT))
    bad[len(bad) // 2] ^= 0xFF
    bad[len(bad) // 2 + 1] ^= 0xFF
    pieces = unpacked(chunks(good + bytes(bad), 64))
    assert next(piece for piece in pieces if piece) == b"good\n"
    with pytest.raises(UnpackError, match=f"^the {name} data is corrupt: "):
        list(pieces)


@every_format
def test_data_that_ends_early(name: str, pack: Pack) -> None:
    with pytest.raises(UnpackError) as caught:
        list(unpacked([pack(TEXT)[:-5]]))
    assert str(caught.value) == f"the {name} data ends early: the file is truncated"


@every_format
def test_memory_is_bounded_by_a_piece_whatever_the_data_grows_to(name: str, pack: Pack) -> None:
    data = pack(bytes(64 * PIECE))
    tracemalloc.start()
    largest = total = 0
    for piece in unpacked([data]):
        largest, total = max(largest, len(piece)), total + len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (largest <= PIECE, total) == (True, 64 * PIECE)
    # What xz itself remembers is not counted.
    assert peak < 16 * PIECE


def test_a_window_that_nobody_needs_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2 * WINDOW, "preset": 0}]
    # The size of the window is a byte of the filter's flags: a small one is written, and made large.
    data = bytearray(lzma.compress(b"text", filters=[{**filters[0], "dict_size": 1 << 16}]))
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 36  # 1 GiB
    header = data[12 : 12 + (data[12] + 1) * 4 - 4]
    data[12 + len(header) : 16 + len(header)] = zlib.crc32(header).to_bytes(4, "little")
    with pytest.raises(UnpackError, match=r"^the xz data is corrupt: Memory usage limit exceeded$"):
        list(unpacked([bytes(data)]))


def test_zstandard_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnpackError, match=r"^the data is Zstandard, which needs Python 3\.14 or the package"):
        list(unpacked([b"\x28\xb5\x2f\xfd rest"]))


def test_zstandard_with_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Double:
        """Unpacks a format of its own: what the real module's interface is used for."""

        eof = False
        needs_input = True
        unused_data = b""

        def decompress(self, data: bytes, max_length: int) -> bytes:
            self.eof = data.endswith(b".")
            if b"!" in data:
                raise RuntimeError("bad frame")
            return data[4:]

    module = ModuleType("zstd")
    module.ZstdDecompressor = Double  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression", ModuleType("compression"))
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    assert b"".join(unpacked([b"\x28\xb5\x2f\xfdtext."])) == b"text."
    with pytest.raises(UnpackError, match=r"^the Zstandard data is corrupt: bad frame$"):
        list(unpacked([b"\x28\xb5\x2f\xfd!"]))


def refusals(pack: Pack, count: int, seed: int) -> int:
    """How many of so many damaged copies are refused; the others give no more than a few times what was packed."""
    refused = 0
    for copy in damaged(pack(TEXT[:2000]), count, seed):
        try:
            assert sum(map(len, unpacked(chunks(copy, 500)))) < 10_000
        except UnpackError:
            refused += 1
    return refused


@every_format
def test_damaged_data(name: str, pack: Pack) -> None:
    assert refusals(pack, 200, 1) > 100


@pytest.mark.slow
@every_format
def test_ten_thousand_damaged_files(name: str, pack: Pack) -> None:
    assert refusals(pack, 10_000, 2) > 5000
