import io

import pytest

from ent_sync.wire.aaf.read import FileRead, Oversized, RawRecord, Request, UnreadableFileError, read

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE ficAlimMENESR SYSTEM "ficAlimMENESR.dtd">\n'


def add(key: bytes, inside: bytes = b"") -> bytes:
    return (
        b'<addRequest>\n<operationalAttributes><attr name="categoriePersonne"><value>Eleve</value></attr>'
        b"</operationalAttributes>\n<identifier><id>" + key + b"</id></identifier>\n"
        b'<attributes><attr name="sn"><value>DURAND</value></attr>' + inside + b"</attributes>\n</addRequest>"
    )


def whole(*requests: bytes, head: bytes = HEAD) -> bytes:
    return head + b"<ficAlimMENESR>\n" + b"\n".join(requests) + b"\n</ficAlimMENESR>\n"


def read_all(document: bytes, **options: int) -> tuple[list[RawRecord | Oversized], FileRead]:
    reading = read(io.BytesIO(document), "f.xml", **options)
    cuts = []
    while True:
        try:
            cuts += next(reading)
        except StopIteration as end:
            return cuts, end.value


def problem_of(document: bytes, **options: int):
    with pytest.raises(UnreadableFileError) as caught:
        read_all(document, **options)
    return caught.value.problem


BLOCKS = pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 20])


@BLOCKS
def test_records_come_as_they_stand_in_the_file(block):
    cuts, _ = read_all(whole(add(b"1"), add(b" 2 ")), block=block)

    assert [(cut.request, cut.id, cut.raw, cut.line) for cut in cuts] == [
        (Request.ADD, "1", add(b"1"), 4),
        (Request.ADD, "2", add(b" 2 "), 9),
    ]


@BLOCKS
def test_the_three_requests_are_told_apart(block):
    document = whole(b"<addRequest a='>'/>", b"<modifyRequest></modifyRequest>", b"<deleteRequest>\n</deleteRequest\n>")

    cuts, _ = read_all(document, block=block)

    assert [(cut.request, cut.line) for cut in cuts] == [("add", 4), ("modify", 5), ("delete", 6)]


def test_a_file_read_to_its_end_says_what_it_held():
    head = HEAD + b'<!-- versionAF="AAF-VE2407" -->\n'
    document = whole(b'<!-- degre="2D" -->', add(b"1"), b'<!-- versionSDET="late" -->', add(b"2"), head=head)

    _, result = read_all(document)

    assert result == FileRead(
        encoding="utf-8", versions={"versionAF": "AAF-VE2407", "degre": "2D"}, records=2, bytes=len(document)
    )


def test_batches_are_of_the_size_asked_for():
    document = whole(*(add(b"%d" % key) for key in range(5)))

    batches = list(read(io.BytesIO(document), "f.xml", batch=2))

    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_a_batch_of_large_records_ends_early():
    document = whole(*(add(b"%d" % key, b" " * 900_000) for key in range(8)))

    batches = list(read(io.BytesIO(document), "f.xml"))

    assert [len(batch) for batch in batches] == [5, 3]


@pytest.mark.parametrize(
    "root", [b"<ficAlimMENESR/>", b"<ficAlimMENESR></ficAlimMENESR>", b"<ficAlimMENESR\n>\n</ficAlimMENESR >"]
)
def test_a_file_without_records_is_readable(root):
    cuts, result = read_all(HEAD + root)

    assert (cuts, result.records) == ([], 0)


@BLOCKS
def test_a_file_in_latin_9_comes_as_utf_8(block):
    head = b"<?xml version='1.0' encoding='ISO-8859-15'?>\n"
    document = whole(add("é€".encode("iso-8859-15")), head=head)

    cuts, result = read_all(document, block=block)

    assert (result.encoding, cuts[0].id, cuts[0].raw) == ("iso8859-15", "é€", add("é€".encode()))


@BLOCKS
def test_requests_in_comments_and_instructions_are_none(block):
    fake = add(b"666")
    document = whole(b"<!--" + fake + b"-->", b"<?php " + fake + b"?>", add(b"1", b"<!--" + fake + b"-->"), add(b"2"))

    cuts, _ = read_all(document, block=block)

    assert [(cut.id, cut.line) for cut in cuts] == [("1", 14), ("2", 23)]


@BLOCKS
@pytest.mark.parametrize("markup", [b"</addRequest>", b"<deleteRequest>", b"<id>7</id>"])
def test_the_markup_of_records_in_cdata_refuses_the_file(block, markup):
    problem = problem_of(whole(add(b"1", b"<![CDATA[x" + markup + b"]]>")), block=block)

    assert (problem.rule, problem.where.line) == ("envelope", 7)


@BLOCKS
@pytest.mark.parametrize(
    ("written", "key"),
    [
        (b"<id><![CDATA[12]]></id>", "12"),
        (b"<id>&#49;2</id>", "12"),
        (b"<id >1<!-- 3 -->2</id\n>", "12"),
        (b"<id x='y'>12</id>", "12"),
        (b"<id/>", None),
        (b"<id>  </id>", None),
        (b"", None),
    ],
)
def test_an_id_is_found_in_any_form(block, written, key):
    document = whole(b"<addRequest><identifier>" + written + b"</identifier></addRequest>", add(b"9"))

    cuts, _ = read_all(document, block=block)

    assert [cut.id for cut in cuts] == [key, "9"]


@BLOCKS
def test_a_record_that_is_too_large_is_only_told(block):
    document = whole(add(b"1"), add(b"2", b"\n" + b"x" * 1500 + b"<!--</addRequest>-->"), add(b"3"))

    cuts, result = read_all(document, block=block, max_record=1000)

    assert [(type(cut), cut.id, cut.line) for cut in cuts] == [
        (RawRecord, "1", 4),
        (Oversized, "2", 9),
        (RawRecord, "3", 15),
    ]
    assert result.records == 3


def test_a_cut_file_is_not_read_to_its_end():
    document = whole(add(b"1"), add(b"2"))

    problem = problem_of(document[: document.index(b"</ficAlim")])

    assert (problem.rule, problem.where.file) == ("not-well-formed", "f.xml")


def test_the_place_of_a_wrong_tag_is_told():
    problem = problem_of(whole(add(b"1"), add(b"2", b"</attr>")))

    assert (problem.rule, problem.where.line, problem.where.column) == ("not-well-formed", 12, 59)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (b"", "empty-file"),
        (b" \n\n", "empty-file"),
        (HEAD, "not-well-formed"),
        (HEAD + b"<autre/>", "envelope"),
        (HEAD + b"<ficAlimMENESR><deep>" + add(b"1") + b"</deep></ficAlimMENESR>", "envelope"),
        (whole(add(b"1"), b"stray"), "envelope"),
        (whole(add(b"1"), b"<![CDATA[ ]]>"), "envelope"),
        (whole(b"<addRequest>" + add(b"1") + b"</addRequest>"), "envelope"),
        (whole(b"<addRequests></addRequests>"), "envelope"),
        (b'<!DOCTYPE ficAlimMENESR [<!ENTITY a "x">]><ficAlimMENESR/>', "entity-declaration"),
        (b'<!DOCTYPE ficAlimMENESR [<!ENTITY % a SYSTEM "file:///x">]><ficAlimMENESR/>', "entity-declaration"),
        (b'<!DOCTYPE ficAlimMENESR [<!ENTITY a SYSTEM "file:///x">]><ficAlimMENESR>&a;</ficAlimMENESR>', "entity-declaration"),
        ("<ficAlimMENESR></ficAlimMENESR>".encode("utf-16"), "encoding"),
        ("<?xml version='1.0' encoding='utf-16'?><ficAlimMENESR/>".encode("utf-16"), "encoding"),
        ("<ficAlimMENESR/>".encode("utf-16-le"), "encoding"),
        (b"<?xml version='1.0' encoding='utf-16'?><ficAlimMENESR/>", "encoding"),
        (b"<?xml version='1.0' encoding='cp037'?><ficAlimMENESR/>", "encoding"),
        (b"<?xml version='1.0' encoding='shift_jis'?><ficAlimMENESR/>", "encoding"),
        (b"<?xml version='1.0' encoding='rot13'?><ficAlimMENESR/>", "encoding"),
        (b"<?xml version='1.0' encoding='nothing'?><ficAlimMENESR/>", "encoding"),
        (whole(add(b"\xe9")), "not-well-formed"),
        (HEAD + b"<ficAlimMENESR><!-- " + b"x" * (9 << 20), "envelope"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_a_rule_is_refused(document, rule):
    assert problem_of(document).rule == rule


def test_a_refusal_holds_nothing_of_the_file():
    problem = problem_of(whole(add(b"1", b"<attr name='sn'><value>LAMARQUE</LAMARQUE>")))

    assert "LAMARQUE" not in f"{problem!r} {problem}"


def test_a_record_shows_no_one():
    cuts, _ = read_all(whole(add(b"4711")))

    assert repr(cuts) == "[<RawRecord add at line 4>]"
