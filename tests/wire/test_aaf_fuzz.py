"""Cutting and parsing gives what a naive DOM of the whole file gives, however the file is written and cut into blocks."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from ent_sync.wire.aaf.parse import Parsed, parse
from ent_sync.wire.aaf.read import read

NAMES = ("sn", "givenName", "mail", "ENTEleveINE")
WANTED = frozenset({"sn", "givenName", "mail"})
# No "&": references written twice are resolved here and not by a DOM.
LETTERS = st.text(st.sampled_from("aé€ÿ <>\"'];-\t"), max_size=6)
FAKES = st.sampled_from(["", " x ", "<addRequest>", "</addRequest>", "<identifier><id>666</id>", "\n", "Request>"])


def comment(text: str) -> str:
    return f"<!--{text}-->"


JUNK = st.one_of(st.sampled_from(["", " ", "\n"]), FAKES.map(comment), FAKES.map(lambda text: f"<?note {text}?>"))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


PIECES = st.one_of(
    LETTERS.map(escaped),
    LETTERS.map(lambda text: "".join(f"&#{ord(sign)};" for sign in text)),
    LETTERS.map(lambda text: "".join(f"&#x{ord(sign):X};" for sign in text)),
    LETTERS.map(lambda text: f"<![CDATA[{text.replace(']]>', '')}]]>"),
    FAKES.map(comment),
)
VALUES = st.one_of(
    st.just("<value/>"), st.lists(PIECES, max_size=3).map(lambda pieces: f"<value>{''.join(pieces)}</value>")
)


@st.composite
def attributes(draw: st.DrawFn, tag: str) -> str:
    quote = draw(st.sampled_from("\"'"))
    operation = " operation='replace'" if tag == "modification" else ""
    values = draw(JUNK).join(draw(st.lists(VALUES, min_size=1, max_size=3)))
    return f"<{tag} name={quote}{draw(st.sampled_from(NAMES))}{quote}{operation}>{values}</{tag}>"


@st.composite
def requests(draw: st.DrawFn) -> str:
    request = draw(st.sampled_from(["add", "modify", "delete"]))
    key = draw(st.sampled_from(["1", " 22 ", "&#49;", "<![CDATA[7]]>", "1<!-- 2 -->3", ""]))
    junk = [draw(JUNK) for _ in range(4)]
    body = ""
    if request != "delete":
        container, tag = ("attributes", "attr") if request == "add" else ("modifications", "modification")
        body = f"<{container}>{junk[0].join(draw(st.lists(attributes(tag), max_size=4)))}</{container}>"
    return (
        f"<{request}Request>{junk[1]}<operationalAttributes><attr name='c'><value>Eleve</value></attr>"
        f"</operationalAttributes>{junk[2]}<identifier>{junk[3]}<id>{key}</id></identifier>{body}</{request}Request>"
    )


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    encoding = draw(st.sampled_from(["UTF-8", "ISO-8859-15", ""]))
    declaration = f"<?xml version='1.0' encoding='{encoding}'?>" if encoding else ""
    body = draw(JUNK).join(draw(st.lists(requests(), max_size=4)))
    text = f"{declaration}<ficAlimMENESR>\n{body}\n</ficAlimMENESR>{draw(JUNK)}"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode(encoding or "utf-8")


def by_dom(document: bytes) -> list[tuple[str, str | None, dict[str, list[str]]]]:
    records = []
    parser = etree.XMLParser(remove_comments=True, remove_pis=True)
    for element in etree.fromstring(document, parser):
        values: dict[str, list[str]] = {}
        for attribute in [*element.iter("attr"), *element.iter("modification")]:
            for value in attribute:
                if attribute.get("name") in WANTED and (text := (value.text or "").strip()):
                    values.setdefault(attribute.get("name"), []).append(text)
        records.append((element.tag, element.findtext("identifier/id").strip() or None, values))
    return records


def by_us(document: bytes, block: int) -> list[tuple[str, str | None, dict[str, list[str]]]]:
    records = []
    for batch in read(io.BytesIO(document), "f.xml", block=block, batch=2):
        for result in parse(batch, wanted=WANTED, file="f.xml"):
            assert isinstance(result, Parsed), result
            values = {name: list(texts) for name, texts in result.values.items()}
            records.append((f"{result.raw.request}Request", result.raw.id, values))
    return records


@settings(max_examples=300, deadline=None)
@given(documents(), st.sampled_from([1, 2, 3, 5, 17, 100, 1 << 20]))
def test_any_document_gives_what_a_dom_gives(document, block):
    assert by_us(document, block) == by_dom(document)
