"""Collections as JSON and back, on a real server: every type, every fault in a file, and nothing half imported."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import json
import math
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from bson import json_util
from bson.codec_options import DatetimeConversion
from hypothesis import given
from hypothesis import strategies as st

from opsconsole.backups.bson_documents import document_ends
from opsconsole.backups.encryption import NOBODY, WrongKey, keys_in, recipients_of
from opsconsole.backups.json_files import JsonFile
from opsconsole.backups.json_reading import BadJson, JsonParser, ObjectIds
from opsconsole.backups.json_writing import JsonWriter, double_text
from opsconsole.backups.mongo_catalog import Selection, catalog
from opsconsole.backups.mongo_dumps import check_dump, open_dump
from opsconsole.backups.mongo_importing import Imported, Mode, import_json
from opsconsole.backups.mongo_json import (
    Exported,
    Form,
    JsonDump,
    JsonSource,
    LiveDump,
    NewFile,
    Stream,
    export_json,
)
from opsconsole.backups.mongo_loading import load_mongo
from opsconsole.backups.mongo_saving import save_mongo
from opsconsole.backups.mongo_swapping import leftovers, plan_swaps, put_in_place, take_back
from opsconsole.backups.progress import Cancelled, Watch
from opsconsole.backups.reading import Corrupt
from opsconsole.model import SourceError
from opsconsole.sources.mongo_bulk import RawClient
from tests.backup_samples import sha256_of
from tests.children import in_a_child
from tests.mongo_zoo import connection_to, document, element, fill, id_element, odd_documents, raw
from tests.parts.servers import Server, start_mongod

CANONICAL = Form(canonical=True)
QUIET = Watch(None, None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a zoo in it, and a `back` to import into."""
    started = start_mongod(tmp_path_factory.mktemp("json") / "data")
    try:
        with pymongo.MongoClient(started.uri) as client:
            fill(client)
        yield started
    finally:
        started.stop(kill=True)


@pytest.fixture
def client(server: Server) -> Iterator[RawClient]:
    with raw(server.uri) as opened:
        opened.drop_database("back")
        yield opened
        opened.drop_database("back")


def export(client: RawClient, path: str, file: Path, form: Form = CANONICAL) -> Exported:
    return export_json(LiveDump(client, [path]), {path: opener(file)}, QUIET, form)[path]


def opener(file: Path) -> Callable[[], NewFile]:
    return lambda: NewFile(file)


def stored(client: RawClient, path: str) -> list[bytes]:
    database, _, name = path.partition(".")
    return [bytes(one.raw) for one in client[database][name].find({})]


def apart(data: bytes) -> list[bytes]:
    starts = [0, *document_ends(data)]
    return [data[start:end] for start, end in itertools.pairwise(starts)]


def read(data: bytes) -> list[bytes]:
    """The documents of a file with these bytes."""
    found = JsonFile(io.BytesIO(data), JsonParser()).batches()
    return [one for piece, _ in found for one in apart(piece)]


def decoded(data: bytes) -> list[dict[str, Any]]:
    return [bson.decode(one) for one in read(data)]


# --- the text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "relaxed", "canonical"),
    [
        (element(0x10, "a", b"\5\0\0\0"), '{"a":5}', '{"a":{"$numberInt":"5"}}'),
        (element(0x12, "a", b"\5\0\0\0\0\0\0\0"), '{"a":5}', '{"a":{"$numberLong":"5"}}'),
        (element(0x01, "a", bytes(7) + b"\x80"), '{"a":-0.0}', '{"a":{"$numberDouble":"-0.0"}}'),
        (element(0x09, "a", bytes(8)), '{"a":{"$date":"1970-01-01T00:00:00Z"}}', '{"a":{"$date":{"$numberLong":"0"}}}'),
        (element(0x09, "a", b"\x78" + bytes(7)), '{"a":{"$date":"1970-01-01T00:00:00.12Z"}}', None),
        (element(0x09, "a", b"\xff" * 8), '{"a":{"$date":{"$numberLong":"-1"}}}', None),
        (element(0x05, "a", b"\6\0\0\0\2\2\0\0\0hi"), '{"a":{"$binary":{"base64":"aGk=","subType":"02"}}}', None),
        (element(0x05, "a", b"\2\0\0\0\x80hi"), '{"a":{"$binary":{"base64":"aGk=","subType":"80"}}}', None),
        (element(0x0B, "a", b'^"\0im\0'), '{"a":{"$regularExpression":{"pattern":"^\\"","options":"im"}}}', None),
        (element(0x11, "a", b"\2\0\0\0\1\0\0\0"), '{"a":{"$timestamp":{"t":1,"i":2}}}', None),
        (element(0x06, "a", b""), '{"a":{"$undefined":true}}', None),
        (element(0x0E, "a", b"\2\0\0\0s\0"), '{"a":{"$symbol":"s"}}', None),
        (element(0xFF, "a", b"") + element(0x7F, "b", b""), '{"a":{"$minKey":1},"b":{"$maxKey":1}}', None),
        (element(0x0D, "a", b"\2\0\0\0f\0"), '{"a":{"$code":"f"}}', None),
        (
            element(0x02, "ä", b'\x0b\0\0\0\n\x01\x7f"\\/<\xe2\x80\xa8\0'),
            '{"ä":"\\n\\u0001\x7f\\"\\\\/<\\u2028"}',
            None,
        ),
        (element(0x08, "a", b"\1") + element(0x0A, "b", b""), '{"a":true,"b":null}', None),
        (
            element(0x04, "a", document(element(0x10, "0", b"\1\0\0\0")).raw),
            '{"a":[1]}',
            '{"a":[{"$numberInt":"1"}]}',
        ),
    ],
)
def test_it_is_what_mongoexport_writes(value: bytes, relaxed: str, canonical: str | None) -> None:
    whole = document(value).raw
    assert JsonWriter().text(whole) == relaxed
    assert JsonWriter(canonical=True).text(whole) == (canonical or JsonWriter(canonical=True).text(whole))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"), (0.1, "0.1"), (999999.0, "999999.0"), (1e6, "1E+06"), (1234567.5, "1.2345675E+06"),
        (-1e21, "-1E+21"), (0.0001, "0.0001"), (0.00001234, "1.234E-05"), (5e-324, "5E-324"),
        (1.7976931348623157e308, "1.7976931348623157E+308"), (math.inf, "Infinity"), (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_doubles_look_as_go_prints_them(value: float, text: str) -> None:
    assert double_text(value) == text


def decimal(number: int, exponent: int) -> bson.Decimal128:
    return bson.Decimal128(f"{number}E{exponent}")


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5).filter(
    lambda name: not name.startswith("$")
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1).map(bson.Int64),
    st.floats(allow_nan=False),
    st.just(math.nan),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.binary(max_size=20).map(lambda data: bson.Binary(data, len(data) * 13 % 256)),
    st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    st.integers(-(1 << 63), (1 << 63) - 1).map(bson.DatetimeMS),
    st.builds(
        lambda n, e: bson.Decimal128(f"{n}E{e}"), st.integers(-(10**34) + 1, 10**34 - 1), st.integers(-6176, 6111)
    ),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0E+3"]).map(bson.Decimal128),
    st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1)).map(lambda pair: bson.Timestamp(*pair)),
    st.builds(bson.Regex, st.text("a.*()", max_size=5), st.sampled_from(["", "i", "imx"])),
    st.builds(bson.Code, st.text(max_size=5), st.none() | st.dictionaries(names, st.integers(0, 9), max_size=2)),
    st.sampled_from([bson.MinKey(), bson.MaxKey()]),
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))


@given(st.dictionaries(names, values, max_size=6))
def test_canonical_comes_back_to_the_last_byte(fields: dict[str, Any]) -> None:
    try:
        data = bson.encode({"_id": 1, **{key: value for key, value in fields.items() if key != "_id"}})
    except (bson.errors.InvalidDocument, UnicodeEncodeError):
        return
    writer = JsonWriter(canonical=True)
    text = writer.text(data)
    again, end = JsonParser().document(text)
    assert (again, end, writer.inexact) == (data, len(text), 0)
    # What the driver's own reader makes of it is the same, where it has a type for it.
    options = json_util.CANONICAL_JSON_OPTIONS.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    assert json.loads(text).keys() == json_util.loads(text, json_options=options).keys()
    relaxed = JsonWriter().text(data)
    assert json_util.loads(relaxed, json_options=options).keys() == {"_id", *fields}


@given(st.dictionaries(names, values, max_size=4), st.sampled_from([True, False]))
def test_the_drivers_own_json_is_read(fields: dict[str, Any], canonical: bool) -> None:
    options = json_util.CANONICAL_JSON_OPTIONS if canonical else json_util.RELAXED_JSON_OPTIONS
    options = options.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    try:
        data = bson.encode({"_id": 1, **{key: value for key, value in fields.items() if key != "_id"}})
        text = json_util.dumps(
            bson.decode(data, bson.CodecOptions(datetime_conversion=options.datetime_conversion)), json_options=options
        )
    except (bson.errors.InvalidDocument, UnicodeEncodeError):
        return
    again, _ = JsonParser().document(text)
    if canonical:
        assert again == data
    else:
        assert JsonWriter().text(again) == JsonWriter().text(data)


kinds = st.sampled_from([*b"\1\6\7\x08\x09\x0a\x10\x11\x12\x13\xff\x7f"])


@given(st.lists(st.tuples(kinds, st.binary(min_size=16, max_size=16)), max_size=5), st.binary(max_size=6))
def test_what_does_not_come_back_is_told(fields: list[tuple[int, bytes]], text: bytes) -> None:
    """Whatever bits a server holds."""
    sizes = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 255: 0, 127: 0}
    values = [element(kind, f"n{at}", data[: sizes[kind]]) for at, (kind, data) in enumerate(fields) if kind != 8]
    string = element(0x02, "t", (len(text) + 1).to_bytes(4, "little") + text + b"\0")
    data = document(id_element(1), *values, string).raw
    writer = JsonWriter(canonical=True)
    again, _ = JsonParser().document(writer.text(data))
    assert (again == data) == (writer.inexact == 0)


def test_what_json_cannot_say_is_counted() -> None:
    writer = JsonWriter(canonical=True)
    inexact = []
    for one in odd_documents():
        before = writer.inexact
        again, _ = JsonParser().document(writer.text(one.raw))
        if writer.inexact > before:
            inexact.append(one.raw)
        else:
            assert again == one.raw
    assert len(inexact) == 3  # two fields of one name, a NaN with a payload, text that is no UTF-8
    assert JsonWriter().text(odd_documents()[3].raw) == '{"_id":1004,"twice":1,"twice":2}'
    assert writer.text(odd_documents()[6].raw).endswith('"no UTF-8":"\\ufffd\\ufffd"}')
    tricky = bson.encode({"_id": 1, "a": {"$oid": "no id"}})
    assert JsonWriter(canonical=True).text(tricky) and _inexact(tricky) == 1


def _inexact(data: bytes) -> int:
    writer = JsonWriter()
    writer.text(data)
    return writer.inexact


# --- reading files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"_id":1,"a":"ä"}\n{"_id":2}\n',
        '{"_id":1,"a":"ä"}{"_id":2}',
        '[{"_id":1,"a":"ä"},{"_id":2}]',
        '\ufeff[\r\n{"_id":1,"a":"ä"},\n{"_id":\n2}\n] \n',
        '{"_id":1,\n  "a": "ä"\n}\n\n\n{\n "_id" : 2 }',
        '{"a":"ä","_id":1}\n{"_id":2}',
    ],
)
def test_every_shape_of_a_file(text: str) -> None:
    assert decoded(text.encode()) == [{"_id": 1, "a": "ä"}, {"_id": 2}]


@pytest.mark.parametrize("text", ["", "\n\n", "[]", "[ ]\n", "\ufeff"])
def test_a_file_without_documents(text: str) -> None:
    assert decoded(text.encode()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"_id":1}\n{"_id":2,"a":}\n{"_id":3}', "line 2: is no JSON: expecting value, column"),
        ('{"_id":1}\n{"_id":2,"a":"no end}\n{"_id":3}', "line 2: is no JSON: invalid control character"),
        ('{"_id":1}\n{"_id":2', "line 2: is no JSON"),
        ('{"_id":1}\n17\n', "line 2: is no document"),
        ('{"_id":1}\n\n"text"', "line 3: is no document"),
        ('[{"_id":1}\n{"_id":2}]', "line 2: lacks a comma"),
        ('[{"_id":1},\n', "line 2: ends in the array"),
        ('[{"_id":1}', "line 1: ends in the array"),
        ("[", "line 1: ends in the array"),
        ('[{"_id":1},]', "line 1: is no JSON"),
        ('[{"_id":1}]\n{"_id":2}', "line 2: goes on behind the array"),
        ('{"a":NaN}', "line 1: has NaN, which is no JSON"),
        ('{"a":1e999}', "line 1: has a number that no type holds"),
        ('{"a":' + "9" * 400 + "}", "line 1: has a number that no type holds"),
        ('{"a":' + "9" * 5000 + "}", "line 1: has a number that no type holds"),
        ('{"a":{"$oid":"12"}}', r"line 1: has a \$oid that is none"),
        ('\n{"a":{"$numberInt":"2147483648"}}', r"line 2: has a \$numberInt that is none"),
        ('{"a":{"$date":"2001-02-03"}}', r"line 1: has a \$date without a time zone"),
        ('{"a":{"$date":"soon"}}', r"line 1: has a \$date that is none"),
        ('{"a":{"$binary":{"base64":"?","subType":"00"}}}', r"line 1: has a \$binary that is none"),
        ('{"a":{"$numberDecimal":"1x"}}', r"line 1: has a \$numberDecimal that is none"),
        ('{"a\\u0000":1}', "line 1: has a name with a zero byte"),
        ('{"a":"\\ud800"}', "line 1: has text with half of a surrogate pair"),
        ("[" * 100_000, "line 1: is (?:nested too deeply|no JSON)"),
        ('{"a":' * 100_000, "line 1: is nested too deeply"),
        (b'{"_id":1}\n{"a":"\xff"}', "line 2: is no UTF-8 text"),
        (b'{"_id":1}\n{"a":"\xc3', "line 2: is no UTF-8 text"),
        (b"\x00\x01\x02", "line 1: is no JSON"),
        (b'{"a":"' + b"x" * (17 << 20) + b'"}', "line 1: is larger than a document may be"),
    ],
    ids=lambda value: ascii(value[:20]),
)  # fmt: skip
def test_a_fault_is_named_by_its_line(text: str | bytes, said: str) -> None:
    with pytest.raises(Corrupt, match=f"^{said}"):
        read(text.encode() if isinstance(text, str) else text)


def test_a_fault_far_into_a_file_is_found_without_reading_on() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    line = b'{"a":"' + b"x" * 1000 + b'"}\n'
    source = Counted(line * 3000 + b'{"a" 1}\n' + line * 30_000)
    with pytest.raises(Corrupt, match=r"^line 3,001: is no JSON: expecting ':' delimiter, column 6, at '1}'"):
        list(JsonFile(source, JsonParser()).batches())
    assert source.taken < 6 << 20


def test_every_cut_of_a_file_is_a_fault_or_loses_whole_lines() -> None:
    lines = '{"_id":1,"a":"ä\\u00e4","b":[1.5,true,{"$oid":"0123456789abcdef01234567"}]}\n{"_id":2}\n'.encode()
    whole = read(lines)
    for cut in range(len(lines)):
        try:
            got = read(lines[:cut])
        except Corrupt:
            continue
        assert got == whole[: len(got)] and lines[:cut].rstrip() in (b"", lines.splitlines()[0], lines.rstrip())
    array = b"[" + b",".join(lines.splitlines()) + b"]"
    for cut in range(1, len(array)):
        with pytest.raises(Corrupt):
            read(array[:cut])


@given(st.integers(1, 40), st.lists(st.text(max_size=30), min_size=1, max_size=5), st.booleans())
def test_how_a_file_is_cut_into_pieces_does_not_matter(size: int, texts: list[str], array: bool) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    rows = [
        json.dumps({"_id": number, "t": text, "n": -1.5e10}, ensure_ascii=False) for number, text in enumerate(texts)
    ]
    data = (f"[{', '.join(rows)}]" if array else "\n".join(rows)).encode()

    class Pieces(io.BytesIO):
        def read(self, wanted: int | None = -1) -> bytes:
            return super().read(size)

    found = JsonFile(Pieces(data), JsonParser())
    assert [bson.decode(one)["t"] for piece, _ in found.batches() for one in apart(piece)] == texts


def test_ids_are_made_and_the_same_in_a_second_reading() -> None:
    base = ObjectIds().base
    one, two = (JsonParser(ObjectIds(base)).document('{"a":1}')[0] for _ in range(2))
    assert one == two and list(bson.decode(one)) == ["_id", "a"]
    ids = ObjectIds(b"\0\0\0\1" + b"\xff" * 8)
    assert len({ids() for _ in range(1000)}) == 1000
    with pytest.raises(BadJson):
        JsonParser().document("[]")


def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    row = json.dumps({"text": "x" * 4000}).encode()
    path.write_bytes(b"[" + b",\n".join([row] * 15_000) + b"]")

    def work() -> None:
        dump = JsonDump([JsonSource(path=path, database="a", name="b")])
        before = documents = 0
        for number, batch in enumerate(dump.batches()):
            documents += batch.documents
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if number == 8 else before
        assert documents == 15_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12 << 10  # KiB; the file has 60,000

    assert in_a_child(work) == 0


# --- a real server ---------------------------------------------------------------------------------


def test_every_type_comes_back(client: RawClient, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    told = export(client, "zoo.values", file)
    before = stored(client, "zoo.values")
    assert (told.documents, told.inexact) == (len(before), 3)
    assert told.size == file.stat().st_size and told.sha256 == sha256_of(file)
    assert file.stat().st_mode & 0o777 == 0o600
    done = import_json(client, JsonSource(path=file, database="back", name="values"), QUIET)
    assert done == Imported(added=len(before))
    after = stored(client, "back.values")
    changed = [one for one, other in zip(before, after, strict=True) if one != other]
    # Two fields of one name come back, too: it is the NaN with a payload and the text that is no UTF-8 that cannot.
    assert [bson.decode(one, bson.CodecOptions(unicode_decode_error_handler="replace"))["_id"] for one in changed] == [
        1005,
        1007,
    ]


@pytest.mark.parametrize("form", [Form(), Form(array=True), CANONICAL, Form(canonical=True, array=True)])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_every_form_and_packing(client: RawClient, tmp_path: Path, form: Form, suffix: str) -> None:
    file = tmp_path / f"indexes.json{suffix}"
    export(client, "zoo.indexed", file, form)
    dump = JsonDump([JsonSource(path=file, database="back", name="indexed")])
    (found,) = check_dump(dump)
    assert found.documents == 20
    if form.canonical:
        import_json(client, JsonSource(path=file, database="back", name="indexed"), QUIET)
        assert stored(client, "back.indexed") == stored(client, "zoo.indexed")
    if not suffix and form.array:
        assert len(json.loads(file.read_bytes())) == 20


def test_the_largest_document(client: RawClient, tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    assert export(client, "zoo.large", file).documents == 1
    for mode in (Mode.NEW, Mode.UPSERT):
        import_json(client, JsonSource(path=file, database="back", name="large"), QUIET, mode)
        assert stored(client, "back.large") == stored(client, "zoo.large")


def test_from_a_backup_and_from_the_server_it_is_the_same(server: Server, client: RawClient, tmp_path: Path) -> None:
    archive = tmp_path / "zoo.archive.gz"
    save_mongo(connection_to(server.uri), archive, selection=Selection(frozenset({"zoo", "zoo2"})))
    odd = "zoo.odd name. with 'quotes' / and ümlaut 世界"
    paths = ["zoo.values", odd, "zoo.empty", "zoo2.other"]
    with open_dump(archive) as dump:
        wanted = {
            path: (lambda number=number: NewFile(tmp_path / f"{number}.json")) for number, path in enumerate(paths)
        }
        told = export_json(dump, wanted, QUIET)  # type: ignore[arg-type]
    for number, path in enumerate(paths):
        out = io.BytesIO()
        stream = Stream(out)
        live = export_json(LiveDump(client, [path]), {path: lambda stream=stream: stream}, QUIET)[path]
        assert out.getvalue() == (tmp_path / f"{number}.json").read_bytes()
        assert live == told[path]
    assert (told["zoo.empty"].documents, told["zoo2.other"].documents) == (0, 50)
    with open_dump(archive) as dump:
        for path, said in (
            ("zoo.measured", "is a time series, in buckets"),
            ("zoo.open", "is a view, which has no documents"),
            ("zoo.none", r"the backup has no collection zoo\.none"),
        ):
            with pytest.raises(SourceError, match=said):
                export_json(dump, {path: lambda: NewFile(tmp_path / "none")}, QUIET)
    assert not (tmp_path / "none").exists()
    assert export(client, "zoo.measured", tmp_path / "measured.json").documents == 100
    assert export(client, "zoo.open", tmp_path / "open.json").documents == 20
    with pytest.raises(SourceError, match=r"there is no collection zoo\.none"):
        LiveDump(client, ["zoo.none"])


def test_a_file_that_is_there_is_not_overwritten(client: RawClient, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("mine")
    with pytest.raises(SourceError, match="is there already"):
        export(client, "zoo2.other", file)
    assert file.read_text() == "mine"
    meanwhile = tmp_path / "meanwhile.json"

    def late() -> NewFile:
        target = NewFile(meanwhile)
        meanwhile.write_text("somebody's")
        return target

    with pytest.raises(SourceError, match="is there already"):
        export_json(LiveDump(client, ["zoo2.other"]), {"zoo2.other": late}, QUIET)
    assert meanwhile.read_text() == "somebody's"
    export_json(LiveDump(client, ["zoo2.other"]), {"zoo2.other": lambda: NewFile(file, replace=True)}, QUIET)
    assert len(file.read_text().splitlines()) == 50
    assert sorted(os.listdir(tmp_path)) == ["meanwhile.json", "other.json"]


def test_an_encrypted_export(client: RawClient, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True).stdout.strip()
    to, path = recipients_of([public]), "zoo2.other"
    for name, recipients in (("x.json", to), ("x.json.age", NOBODY)):
        target = functools.partial(NewFile, tmp_path / name, recipients=recipients)
        with pytest.raises(SourceError, match="its name says else"):
            export_json(LiveDump(client, [path]), {path: target}, QUIET)
    file = tmp_path / "other.json.gz.age"
    sealed = functools.partial(NewFile, file, recipients=to)
    export_json(LiveDump(client, [path]), {path: sealed}, QUIET, CANONICAL)
    source = JsonSource(path=file, database="back", name="other")
    with pytest.raises(WrongKey):
        import_json(client, source, QUIET)
    import_json(client, source, QUIET, keys=keys_in(key))
    assert stored(client, "back.other") == stored(client, path)
    assert sorted(os.listdir(tmp_path)) == ["key.txt", "other.json.gz.age"]


def test_an_export_that_breaks_off_leaves_nothing(client: RawClient, tmp_path: Path) -> None:
    targets = {path: opener(tmp_path / path) for path in ("zoo.values", "zoo2.other")}
    with pytest.raises(Cancelled):
        export_json(LiveDump(client, list(targets)), targets, Watch(None, lambda: True))
    assert os.listdir(tmp_path) == []


# --- importing through a restore -------------------------------------------------------------------


def test_it_is_restored_as_a_backup_is(client: RawClient, tmp_path: Path) -> None:
    """Loaded beside, compared, put in place with the options and indexes of the live one, and taken back."""
    client.back.indexed.create_index("n", name="by n")
    client.back.indexed.insert_one({"_id": "old"})
    (entry,) = catalog(client, Selection(collections=frozenset({"back.indexed"}))).entries
    file = tmp_path / "indexed.json"
    export(client, "zoo.indexed", file, Form())
    source = JsonSource(path=file, database="back", name="indexed", metadata=entry.metadata)
    staged = load_mongo(client, JsonDump([source]), watch=QUIET, selection=Selection())
    assert [one.documents for one in staged] == [20]
    (swap,) = plan_swaps(client, staged)
    put_in_place(client, swap)
    assert client.back.indexed.count_documents({}) == 20
    assert set(client.back.indexed.index_information()) == {"_id_", "by n"}
    take_back(client, swap)
    assert [bson.decode(one)["_id"] for one in stored(client, "back.indexed")] == ["old"]


def test_the_id_comes_first_as_the_server_puts_it(client: RawClient, tmp_path: Path) -> None:
    """Else what is read back is not what was loaded."""
    file = tmp_path / "rows.json"
    file.write_text('{"n":1,"_id":5}\n{"n":2}\n')
    source = JsonSource(path=file, database="back", name="live")
    (staged,) = load_mongo(client, JsonDump([source]), watch=QUIET, selection=Selection())
    assert staged.documents == 2


def test_a_broken_line_leaves_nothing_loaded(client: RawClient, tmp_path: Path) -> None:
    rows = [json.dumps({"_id": number, "text": "x" * 2000}) for number in range(3000)]
    rows[2000] = rows[2000][:-3]
    file = tmp_path / "broken.json"
    file.write_text("\n".join(rows))
    dump = JsonDump([JsonSource(path=file, database="back", name="broken")])
    with pytest.raises(Corrupt, match=r"^broken\.json line 2,001: is no JSON"):
        load_mongo(client, dump, watch=QUIET, selection=Selection())
    assert leftovers(client, ["back"]) == () and client.back.list_collection_names() == []
    for mode in Mode:
        with pytest.raises(SourceError, match=r"^broken\.json line 2,001: is no JSON"):
            import_json(client, JsonSource(path=file, database="back", name="broken"), QUIET, mode)
        assert client.back.list_collection_names() == []
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(gzip.compress("\n".join(rows[:2000]).encode())[:-20])
    with pytest.raises(SourceError, match=r"^cut\.json\.gz is cut short"):
        import_json(client, JsonSource(path=cut, database="back", name="broken"), QUIET)


# --- importing into what is live -------------------------------------------------------------------


def rows_in(path: Path, rows: list[Mapping[str, Any]]) -> JsonSource:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return JsonSource(path=path, database="back", name="live")


def live(client: RawClient) -> dict[Any, Any]:
    return {one["_id"]: one.get("n") for one in map(bson.decode, stored(client, "back.live"))}


def test_modes(client: RawClient, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    assert import_json(client, rows_in(file, [{"_id": 1, "n": 1}, {"_id": 2, "n": 1}]), QUIET) == Imported(added=2)
    more = rows_in(file, [{"_id": 2, "n": 2}, {"_id": 3, "n": 2}])
    with pytest.raises(SourceError, match=r"back\.live has documents already"):
        import_json(client, more, QUIET)
    with pytest.raises(SourceError, match="has 1 document with the same _id"):
        import_json(client, more, QUIET, Mode.ADD)
    assert live(client) == {1: 1, 2: 1}
    assert import_json(client, more, QUIET, Mode.UPSERT) == Imported(added=1, replaced=1)
    assert live(client) == {1: 1, 2: 2, 3: 2}
    assert import_json(client, rows_in(file, [{"n": 5}, {"_id": 4, "n": 5}]), QUIET, Mode.ADD) == Imported(added=2)
    assert len(live(client)) == 5
    dollar = rows_in(file, [{"_id": 1, "$set": {"n": 9}}])
    import_json(client, dollar, QUIET, Mode.UPSERT)
    assert live(client)[1] is None  # it was replaced, and nothing was set


def test_what_the_server_refuses_is_taken_out_again(client: RawClient, tmp_path: Path) -> None:
    client.back.live.insert_many([{"_id": "mine", "n": 500}])
    client.back.live.create_index("n", unique=True)
    rows: list[Mapping[str, Any]] = [{"n": number, "text": "x" * 5000} for number in range(1000)]
    with pytest.raises(SourceError, match="duplicate key"):
        import_json(client, rows_in(tmp_path / "rows.json", rows), QUIET, Mode.ADD)
    assert live(client) == {"mine": 500}
    with pytest.raises(SourceError, match=r"duplicate key.*\(500 of 1,000 documents were added to back\.live before"):
        import_json(client, rows_in(tmp_path / "rows.json", rows), QUIET, Mode.UPSERT)
    client.back.live.drop()
    twice: list[Mapping[str, Any]] = [{"_id": 1, "n": 1}, {"_id": 2}, {"_id": 1, "n": 2}]
    with pytest.raises(SourceError, match="duplicate key"):
        import_json(client, rows_in(tmp_path / "rows.json", twice), QUIET)
    assert client.back.list_collection_names() == []


@pytest.mark.parametrize("mode", [Mode.NEW, Mode.ADD])
def test_one_that_was_cut_off_goes_on_with_what_is_missing(
    server: Server, client: RawClient, tmp_path: Path, mode: Mode
) -> None:
    source = rows_in(tmp_path / "rows.json", [{"n": number, "text": "x" * 5000} for number in range(400)])
    ids = ObjectIds().base

    def killed() -> None:
        with raw(server.uri) as its_own:

            def kill() -> bool:
                if its_own.back.live.count_documents({}):  # the first of two batches is written
                    os.kill(os.getpid(), signal.SIGKILL)
                return False

            import_json(its_own, source, Watch(None, kill), mode, ids=ids)

    assert in_a_child(killed) == -signal.SIGKILL
    before = live(client)
    assert 0 < len(before) < 400
    if mode is Mode.NEW:
        with pytest.raises(SourceError, match="has documents already"):
            import_json(client, source, QUIET, mode, ids=ids)
    assert import_json(client, source, QUIET, mode, ids=ids, goes_on=True) == Imported(added=400)
    after = live(client)
    assert sorted(after.values()) == list(range(400)) and before.items() <= after.items()
    if mode is Mode.NEW:
        client.back.live.insert_one({"_id": "theirs"})
        with pytest.raises(SourceError, match=r"has documents that are not of rows\.json"):
            import_json(client, source, QUIET, mode, ids=ids, goes_on=True)
        client.back.live.delete_one({"_id": "theirs"})
    client.back.live.update_one({"n": 7}, {"$set": {"n": -7}})
    with pytest.raises(SourceError, match="1 document with the same _id"):  # it is somebody else's by now
        import_json(client, source, QUIET, mode, ids=ids, goes_on=True)


def test_what_somebody_else_added_meanwhile_stays(client: RawClient, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "rows.json", [{"_id": number, "text": "x" * 5000} for number in range(400)])
    calls = 0

    def meanwhile() -> bool:
        nonlocal calls
        calls += 1
        if calls == 3:  # all was read, and the first of two batches is written
            client.back.live.insert_one({"_id": 399, "n": "theirs"})
        return False

    with pytest.raises(SourceError, match="duplicate key"):
        import_json(client, source, Watch(None, meanwhile), Mode.ADD)
    assert live(client) == {399: "theirs"}


def test_what_is_cancelled_is_taken_out_again(client: RawClient, tmp_path: Path) -> None:
    source = rows_in(tmp_path / "rows.json", [{"_id": number, "text": "x" * 5000} for number in range(2000)])
    with pytest.raises(Cancelled):
        import_json(client, source, Watch(None, lambda: client.back.live.count_documents({}) > 0))
    assert client.back.list_collection_names() == []


def test_where_nothing_is_imported(client: RawClient, tmp_path: Path) -> None:
    file = rows_in(tmp_path / "rows.json", [{"_id": 1}]).path
    for database, name, said in (
        ("zoo", "open", "is a view"),
        ("zoo", "measured", "is a time series"),
        ("admin", "system.users", "the server keeps for itself"),
        ("back", "system.js", "the server keeps for itself"),
        ("local", "x", "the server keeps for itself"),
    ):
        with pytest.raises(SourceError, match=said):
            import_json(client, JsonSource(path=file, database=database, name=name), QUIET)
