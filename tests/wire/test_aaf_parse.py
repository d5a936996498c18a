from collections import Counter

import pytest

from ent_sync.wire.aaf.parse import BadRecord, Parsed, parse
from ent_sync.wire.aaf.read import RawRecord, Request

WANTED = frozenset({"sn", "givenName", "mail"})


def raw(inside: str, *, request: Request = Request.ADD, key: str | None = "1", line: int = 10) -> RawRecord:
    container = {Request.ADD: "attributes", Request.MODIFY: "modifications"}.get(request)
    body = f"<{container}>\n{inside}</{container}>\n" if container else ""
    text = (
        f"<{request}Request>\n<operationalAttributes><attr name='categoriePersonne'><value>Eleve</value></attr>"
        f"</operationalAttributes>\n<identifier><id>{key or ''}</id></identifier>\n{body}</{request}Request>"
    )
    return RawRecord(request, key, text.encode(), line)


def attr(name: str, *values: str) -> str:
    return (
        f'<attr name="{name}">' + ("".join(f"<value>{value}</value>" for value in values) or "<value/>") + "</attr>\n"
    )


def replace(name: str, value: str, operation: str = ' operation="replace"') -> str:
    return f'<modification name="{name}"{operation}><value>{value}</value></modification>'


def only(record: RawRecord, wanted: frozenset[str] = WANTED):
    (result,) = parse([record], wanted=wanted, file="f.xml")
    return result


def values_of(record: RawRecord):
    result = only(record)
    assert isinstance(result, Parsed), result
    return dict(result.values)


def problem_of(record: RawRecord):
    result = only(record)
    assert isinstance(result, BadRecord)
    return result.problem


def test_only_wanted_attributes_come_out():
    assert values_of(raw(attr("sn", "DURAND") + attr("ENTEleveINE", "X"))) == {"sn": ("DURAND",)}


def test_values_are_stripped_and_empty_ones_dropped():
    assert values_of(raw(attr("sn", " DURAND\n") + attr("givenName", "", " ", "Léa") + attr("mail"))) == {
        "sn": ("DURAND",),
        "givenName": ("Léa",),
    }


def test_an_attribute_that_comes_twice_is_merged():
    assert values_of(raw(attr("givenName") + attr("givenName", "Léa", "Anne") + attr("givenName", "Zoé"))) == {
        "givenName": ("Léa", "Anne", "Zoé")
    }


def test_a_wanted_attribute_that_came_empty_is_cleared():
    result = only(
        raw(replace("sn", "DURAND") + replace("mail", " ") + replace("homePhone", ""), request=Request.MODIFY)
    )

    assert (result.values, result.cleared) == ({"sn": ("DURAND",)}, {"mail"})


def test_a_missing_operation_means_replace():
    assert values_of(raw(replace("sn", "DURAND", ""), request=Request.MODIFY)) == {"sn": ("DURAND",)}


def test_a_delete_request_has_a_category_and_no_values():
    result = only(raw("", request=Request.DELETE))

    assert (result.category, result.values) == ("Eleve", {})


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("&#201;lise", "Élise"),
        ("&eacute;", "é"),
        ("&amp;eacute;", "é"),
        ("&amp;#233;", "é"),
        ("&amp;amp;", "&"),
        ("O&apos;NEIL &amp; FILS", "O'NEIL & FILS"),
        ("A&amp;eacute", "A&eacute"),
        ("&amp;nobody;", "&nobody;"),
        ("&amp;#0;&amp;#xD800;", "&#0;&#xD800;"),
        ("<![CDATA[A & <B>]]>", "A & <B>"),
        ("A<!-- B -->C", "AC"),
        ("a <?b c?>d", "a d"),
    ],
)
def test_references_are_resolved_even_when_written_twice(written, value):
    assert values_of(raw(attr("sn", written))) == {"sn": (value,)}


def test_a_bad_record_leaves_its_neighbours_whole():
    batch = [
        raw(attr("sn", "A"), key="1"),
        raw("<attr", key="2"),
        raw(attr("sn", "&nobody;"), key="3"),
        raw(attr("sn", "B"), key="4"),
    ]

    results = list(parse(batch, wanted=WANTED, file="f.xml"))

    assert [(result.raw.id, getattr(result, "values", None)) for result in results] == [
        ("1", {"sn": ("A",)}),
        ("2", None),
        ("3", None),
        ("4", {"sn": ("B",)}),
    ]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        (raw("<attr"), "record"),
        (raw("<attr><value>A</value></attr>"), "record"),
        (raw("<attr name='sn'><autre/></attr>"), "record"),
        (raw("<attr name='sn'><value>A<b/></value></attr>"), "record"),
        (raw("</attributes><attributes>"), "record"),
        (RawRecord(Request.ADD, "1", b"<addRequest><identifier><id>1</id></identifier></addRequest>", 10), "record"),
        (RawRecord(Request.ADD, None, b"<deleteRequest/>", 10), "record"),
        (RawRecord(Request.ADD, None, b"", 10), "record"),
        (raw(attr("sn", "&nobody;")), "entity"),
        (raw(attr("sn", "x" * 65_537)), "value-size"),
        (raw(attr("ENTPersonJointure", "2")), "key-mismatch"),
        (raw(replace("sn", "A", ' operation="add"'), request=Request.MODIFY), "operation"),
    ],
)
def test_a_record_that_breaks_a_rule_is_a_problem(record, rule):
    assert problem_of(record).rule == rule


def test_a_value_of_64_ki_characters_is_allowed():
    assert len(values_of(raw(attr("sn", "x" * 65_536)))["sn"][0]) == 65_536


@pytest.mark.parametrize("jointure", ["1", " 1 ", ""])
def test_a_jointure_that_repeats_the_id_or_is_empty_is_no_problem(jointure):
    assert values_of(raw(attr("ENTPersonJointure", jointure))) == {}


def test_a_wanted_jointure_comes_out():
    result = only(raw(attr("ENTPersonJointure", "1")), frozenset({"ENTPersonJointure"}))

    assert result.values == {"ENTPersonJointure": ("1",)}


def test_the_line_of_a_problem_is_that_of_the_file():
    problem = problem_of(raw("\n<attr></x>"))

    assert (problem.where.file, problem.where.line) == ("f.xml", 15)


def test_a_problem_holds_nothing_of_the_record():
    problem = problem_of(raw(attr("sn", "LAMARQUE") + "<LAMARQUE></x>"))

    assert "LAMARQUE" not in f"{problem!r} {problem}"


def test_names_that_nobody_knows_are_counted():
    seen: Counter[str] = Counter()
    batch = [raw(attr("sn", "A") + attr("ENTNouveau", "x") + attr("ENTEleveINE", "y"))] * 2

    list(parse(batch, wanted=WANTED, file="f.xml", seen_names=seen))

    assert seen == {"ENTNouveau": 2}


def test_a_parsed_record_shows_no_one():
    assert repr(only(raw(attr("sn", "DURAND")))) == "<Parsed add of line 10>"
