"""The archive format by itself: what is written is read again, and nothing that is broken passes."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import re
import subprocess
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import bson
import pytest
import zstandard
from bson.raw_bson import RawBSONDocument

from opsconsole.backups import bson_documents
from opsconsole.backups.bson_documents import (
    LARGEST_DOCUMENT,
    DocumentSum,
    check_document,
    check_documents,
    document_ends,
)
from opsconsole.backups.contents import kind_by_name, read_file
from opsconsole.backups.crc64 import crc64, crc64_by_table, signed
from opsconsole.backups.findings import Verdict
from opsconsole.backups.gzip_packing import GzipPacker
from opsconsole.backups.mongo_archive import MAGIC, TERMINATOR, ArchiveReader, ArchiveWriter, Entry
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_raw import _opened
from opsconsole.backups.packed_files import PackedFile, Packing, UnpackedFile
from opsconsole.backups.reading import Corrupt, GzipReader, LimitReached, Meter, drain, up_to
from tests.backup_samples import sha256_of
from tests.mongo_zoo import VALUES, largest_document, odd_documents

ENTRIES = (
    Entry("shop", "orders", "collection", '{"indexes":[]}'),
    Entry("shop", "empty", "collection", '{"indexes":[]}'),
    Entry("shop", "measured", "timeseries", '{"indexes":[]}'),
    Entry("shop", "open", "view", '{"indexes":[]}'),
    Entry("läden", "Grüße. 世界", "collection", ""),
)
DOCUMENTS = b"".join(bson.encode({"_id": n, "text": "x" * n}) for n in range(20))


def archive(entries: Sequence[Entry] = ENTRIES, documents: bytes = DOCUMENTS) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out, entries, server_version="6.0.5", tool_version="opsconsole")
    for entry in entries:
        writer.begin(entry)
        if entry.kind != "view" and entry.name != "empty":
            writer.add(documents)
        writer.end(entry)
    return out.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """The documents by collection; Corrupt when the archive is not whole and right."""
    found: dict[str, bytes] = {}
    for batch in ArchiveReader(io.BytesIO(data)).batches():
        found[batch.entry.path] = found.get(batch.entry.path, b"") + batch.data
    return found


def passes(data: bytes) -> bool:
    try:
        read(data)
    except Corrupt:
        return False
    return True


def test_what_is_written_is_read_again() -> None:
    reader = ArchiveReader(io.BytesIO(archive()))
    assert reader.entries == ENTRIES
    assert reader.server_version == "6.0.5"
    found = read(archive())
    assert found == {
        "shop.orders": DOCUMENTS,
        "shop.empty": b"",
        "shop.measured": DOCUMENTS,
        "shop.open": b"",
        "läden.Grüße. 世界": DOCUMENTS,
    }


def test_the_bytes_are_those_of_the_format() -> None:
    """Byte for byte, from the description of the format."""
    out = bytearray(b"\x6d\xe2\x99\x81")
    out += bson.encode(
        {"concurrent_collections": 1, "version": "0.1", "server_version": "6.0.5", "tool_version": "opsconsole"}
    )
    out += bson.encode({"db": "shop", "collection": "t", "metadata": "{}", "size": 0, "type": "timeseries"})
    out += b"\xff\xff\xff\xff"
    block = {"db": "shop", "collection": "system.buckets.t"}
    out += bson.encode({**block, "EOF": False, "CRC": bson.Int64(0)}) + DOCUMENTS + b"\xff\xff\xff\xff"
    crc = signed(crc64_by_table(DOCUMENTS))
    out += bson.encode({**block, "EOF": True, "CRC": bson.Int64(crc)}) + b"\xff\xff\xff\xff"
    assert archive((Entry("shop", "t", "timeseries", "{}"),)) == bytes(out)


def test_the_checksum() -> None:
    assert crc64(b"123456789") == crc64_by_table(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64(b"6789", crc64(b"12345")) == crc64_by_table(b"6789", crc64_by_table(b"12345")) == 0x995DC9BBDF1939FA
    assert signed(0x995DC9BBDF1939FA) == 0x995DC9BBDF1939FA - 2**64
    assert signed(crc64(b"")) == 0


def test_every_cut_is_found() -> None:
    data = archive()
    assert not [size for size in range(len(data)) if passes(data[:size])]


def test_every_flipped_bit_behind_the_prelude_is_found_and_every_other_by_the_hash() -> None:
    data = archive(ENTRIES[:3], b"".join(bson.encode({"_id": n}) for n in range(3)))
    prelude, known = data.index(TERMINATOR), hashlib.sha256(data).digest()
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            if place >= prelude:
                assert not passes(bytes(flipped)), f"bit {bit} of byte {place}"
            assert hashlib.sha256(flipped).digest() != known


@pytest.mark.parametrize("packing", list(Packing))
def test_no_flip_or_cut_of_a_packed_archive_brings_other_documents(packing: Packing, tmp_path: Path) -> None:
    """What a flip may change without being noticed is the wrapping, never the documents behind the prelude."""
    path = tmp_path / f"archive{packing.suffix}"
    file = PackedFile(path, packing)
    few = b"".join(bson.encode({"_id": n}) for n in range(4))
    file.write(archive(ENTRIES[:3], few))
    known = file.finish()
    data = path.read_bytes()
    assert sha256_of(path) == known
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        assert sha256_of(path) != known
        try:
            with open_dump(path) as dump:
                batches = b"".join(batch.data for batch in dump.batches())
        except Corrupt:
            continue
        assert batches == few * 2
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(Corrupt), open_dump(path) as dump:
            list(dump.batches())


def block(database: str, name: str, documents: bytes = b"", *, crc: int | None = None) -> bytes:
    """A block with documents, or with `crc` the end of a collection."""
    fields = {"db": database, "collection": name, "EOF": crc is not None, "CRC": bson.Int64(crc or 0)}
    return bson.encode(fields) + documents + TERMINATOR


def prelude(*names: str, version: str = "0.1") -> bytes:
    header = {"concurrent_collections": 4, "version": version, "server_version": "4.2.1", "tool_version": "r4"}
    listed = [{"db": "d", "collection": name, "metadata": "", "size": 0, "type": ""} for name in names]
    return MAGIC + b"".join(map(bson.encode, [header, *listed])) + TERMINATOR


A, B = bson.encode({"_id": "a"}), bson.encode({"_id": "b", "x": 1})


def test_blocks_of_several_collections_may_take_turns() -> None:
    """As mongodump writes them with several connections."""
    data = prelude("a", "b") + block("d", "a", A) + block("d", "b", B) + block("d", "a", A + A)
    data += block("d", "b", crc=signed(crc64(B))) + block("d", "a", crc=signed(crc64(A * 3)))
    assert read(data) == {"d.a": A * 3, "d.b": B}


END_A, END_B = block("d", "a", crc=signed(crc64(A))), block("d", "b", crc=0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage, and more of it",
        prelude("a", version="9"),
        prelude("a", "a"),
        prelude("n" * 300),
        prelude("a"),
        prelude("a") + block("d", "a", A),
        prelude("a") + block("d", "a", A) + block("d", "a", crc=signed(crc64(B))),
        prelude("a") + block("d", "a", A) + END_A + END_A,
        prelude("a") + block("d", "a", A) + END_A + block("d", "a", A),
        prelude("a") + block("d", "a", A) + END_A + TERMINATOR,
        prelude("a") + block("d", "unlisted", A),
        prelude("a", "b") + block("d", "a", A) + END_A,
        prelude("a") + block("d", "a", (2**31 - 1).to_bytes(4, "little") + A),
        prelude("a") + block("d", "a", (4).to_bytes(4, "little") + A),
        prelude("a") + block("d", "a", A[:-1] + b"\x01") + END_A,
        prelude("a") + bson.encode({"db": "d", "collection": "a", "EOF": False, "CRC": bson.Int64(7)}) + TERMINATOR,
        prelude("a") + bson.encode({"db": "d", "collection": "a", "EOF": False}) + TERMINATOR,
        prelude("a") + bson.encode({"db": "d", "collection": "a", "EOF": "no", "CRC": 0}) + TERMINATOR,
    ],
)
def test_broken_archives_are_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        read(data)
    assert passes(prelude("a", "b") + block("d", "a", A) + END_A + END_B), "a sound one is taken"


def test_a_hostile_archive_takes_no_memory(tmp_path: Path) -> None:
    """A list without an end, and gigabytes of zeros in a few kilobytes."""
    one = bson.encode({"db": "d", "collection": "c", "metadata": "m" * 1_000_000})

    class Endless:
        def __init__(self) -> None:
            self.number = 0

        def read(self, size: int) -> bytes:
            self.number += 1
            return prelude()[:-4] if self.number == 1 else one.replace(b"\0c\0", b"\0c\0") + b""

    with pytest.raises(Corrupt):
        ArchiveReader(Endless())
    for pack in (gzip.compress, zstandard.ZstdCompressor().compress):
        path = tmp_path / "bomb"
        path.write_bytes(pack(bytes(50_000_000)))
        with UnpackedFile(path, limit=1_000_000) as source, pytest.raises(LimitReached):
            drain(source)
        path.unlink()


def test_zstd_streams_of_every_make_are_read_and_cuts_are_found(tmp_path: Path) -> None:
    """With and without size and checksum, several frames, frames that are skipped, blocks of all kinds."""
    path = tmp_path / "x.zst"
    noise = random.Random(4).randbytes(200_000)
    plain = bytes(300_000) + noise + b"abc" * 100_000
    skipped = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    for size, checksum in ((True, True), (True, False), (False, True), (False, False)):
        packer = zstandard.ZstdCompressor(write_content_size=size, write_checksum=checksum)
        data = packer.compress(plain) + skipped + packer.compress(b"end")
        path.write_bytes(data)
        with UnpackedFile(path) as source:
            assert up_to(source, 1 << 30) == plain + b"end"
        boundaries = {len(packer.compress(plain)), len(packer.compress(plain)) + len(skipped)}
        for cut in {*range(4, 40), *range(len(data) - 60, len(data))} - boundaries:
            path.write_bytes(data[:cut])
            with UnpackedFile(path) as source, pytest.raises(Corrupt):
                drain(source)


@pytest.mark.parametrize("step", [1000, 1 << 20, 3_000_000])
def test_gzip_of_several_threads_is_one_stream_like_any_other(step: int) -> None:
    """In order, the threads being unequally quick; whole to stock gzip, cut at the joint of two pieces as well."""
    source = random.Random(1)
    repeats = b"".join(source.randbytes(20_000) * source.randrange(2, 40) for _ in range(20))
    plain = repeats + bytes(2_000_000) + repeats
    packer = GzipPacker()
    packed = b"".join(packer.compress(plain[at : at + step]) for at in range(0, len(plain), step)) + packer.flush()
    assert len(packed) < len(zlib.compress(plain, 1)) * 1.005
    assert subprocess.run(["gzip", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout == plain
    assert up_to(GzipReader(io.BytesIO(packed), Meter(1 << 30)), 1 << 30) == plain
    joints = [at.end() for at in re.finditer(b"\0\0\xff\xff", packed)]
    assert len(joints) >= len(plain) // (step + (1 << 20))
    for joint in joints:
        with pytest.raises(Corrupt):
            drain(GzipReader(io.BytesIO(packed[:joint]), Meter(1 << 30)))


@pytest.mark.parametrize("packing", list(Packing))
def test_the_list_of_backups_reads_them_too(packing: Packing, tmp_path: Path) -> None:
    path = tmp_path / f"mongodb.archive{packing.suffix}"
    file = PackedFile(path, packing)
    file.write(archive())
    file.finish()
    (found,) = read_file(str(path), path.name, 1 << 20)[0].findings
    assert (found.kind, found.verdict, found.whole) == ("mongo", Verdict.PLAUSIBLE, True)
    assert found.note.startswith("5 collections of ")
    path.write_bytes(path.read_bytes()[:-7])
    contents = read_file(str(path), path.name, 1 << 20)[0]
    assert Verdict.CUT in (contents.verdict, contents.findings[0].verdict)
    assert kind_by_name(path.name) == "mongo"


# --- documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [str, lambda n: f"{n:09}"], ids=["as servers number them", "otherwise"])
def test_the_documents_of_an_answer_are_counted_whatever_their_size(keys: Callable[[int], str]) -> None:
    source = random.Random(1)
    for number in (0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 9_999, 10_000, 10_001):
        documents = [bson.encode({"t": "x" * source.randrange(9)}) for _ in range(number)]
        numbered = {keys(n): RawBSONDocument(one) for n, one in enumerate(documents)}
        answer = bson.encode({"cursor": {"firstBatch": numbered, "id": bson.Int64(7), "ns": "a.b.c"}, "ok": 1.0})
        answer = answer.replace(b"\3firstBatch", b"\4firstBatch")  # a list would be numbered by the driver
        assert _opened(answer) == (b"".join(documents), number, 7, "b.c")


def test_sums_do_not_depend_on_order_or_on_how_documents_are_handed_over() -> None:
    parts = [bson.encode({"_id": n}) for n in range(50)]
    straight, mixed, other = DocumentSum(), DocumentSum(), DocumentSum()
    straight.add(b"".join(parts))
    random.Random(1).shuffle(parts)
    for part in parts:
        mixed.add(part)
    other.add(b"".join(parts[:-1]) + bson.encode({"_id": 50}))
    assert straight.digest == mixed.digest != other.digest
    assert (straight.documents, straight.bytes) == (mixed.documents, mixed.bytes)


def test_every_kind_of_value_is_parsed_and_every_cut_of_it_found() -> None:
    documents = [bson.encode({key: value}) for key, value in VALUES.items()]
    for document in documents:
        check_document(document)
        body = document[4:-1]
        for size in range(len(body) - 1):
            cut = (size + 6).to_bytes(4, "little") + body[:size] + b"\x01\0"
            with pytest.raises(Corrupt):
                check_documents(cut)
    documents += [odd.raw for odd in odd_documents()]
    assert check_documents(b"".join(documents)) == len(documents)
    assert list(document_ends(largest_document().raw)) == [LARGEST_DOCUMENT]


def test_documents_nested_without_an_end_are_refused() -> None:
    deep = b"\5\0\0\0\0"
    for _ in range(5000):
        body = b"\x03a\0" + deep
        deep = (len(body) + 5).to_bytes(4, "little") + body + b"\0"
    with pytest.raises(Corrupt):
        check_documents(deep)


def test_check_dump_parses_documents_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive())
    with open_dump(path) as dump:
        checked = check_dump(dump)
    assert [(one.entry.path, one.documents) for one in checked][:2] == [("shop.orders", 20), ("shop.empty", 0)]
    broken = b"\x10\0\0\0\x02a\0\xff\xff\xff\x7fabc\0\0"
    for data in (archive(documents=broken), archive((Entry("d", "c", "collection", '{"indexes":[{"'),))):
        path.write_bytes(data)
        with open_dump(path) as dump, pytest.raises(Corrupt):
            check_dump(dump)


def test_without_the_drivers_own_function_arrays_are_taken_apart_all_the_same() -> None:
    from opsconsole.backups import mongo_raw

    reply = bson.encode({"a": [{"_id": n, "x": [1, {"b": "c"}]} for n in range(200)]})
    place = bson_documents.find_element(reply, b"a")
    assert place is not None
    array = memoryview(reply)[place[1] : place[2]]
    assert mongo_raw._stripped(array) == mongo_raw._end_to_end(array)
    assert bson.decode_all(mongo_raw._stripped(array))[199]["_id"] == 199
