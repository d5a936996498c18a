"""What a server knows of classes and attributes, and what it is said to lack."""

from pathlib import Path

import pytest

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.schema import parsed, read_schema
from servers.slapd import NATIONAL, slapd

CLASSES = [
    b"( 2.5.6.0 NAME 'top' DESC 'the MAY of all' ABSTRACT MUST objectClass )",
    b"( 2.5.6.6 NAME ( 'person' 'RFC2256Person' ) SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( userPassword $ seeAlso ) )",
    b"( 1.2.3 NAME 'ENTEleve' SUP person STRUCTURAL MUST ENTEleveMEF MAY ( ENTEleveINE $ sn ) )",
    b"( 1.2.4 NAME 'ENTAuxEnseignant' SUP top AUXILIARY MAY ENTAuxEnsMEF X-ORIGIN ( 'a MUST b' ) )",
]
TYPES = [
    b"( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
    b"( 1.2.5 NAME 'ENTEleveMEF' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{11} SINGLE-VALUE )",
]


@pytest.fixture(scope="module")
def known():
    with slapd() as server:
        section = DirectorySection.model_validate(server.section("reader"))
        with connect(section, Path("/"), {}, who="target ent") as link:
            yield read_schema(link)


def test_a_real_server_lacks_nothing_that_it_has(known):
    assert known.missing(["inetOrgPerson", "groupofnames"], ["UID", "mail", "member", "cn;lang-fr"]) == ()


def test_what_a_real_server_lacks_is_told_as_it_was_asked_for(known):
    missing = known.missing(["inetOrgPerson", "ENTNowhere"], ["mail", "ENTNever", "ENTNever;binary"])

    assert missing == ("ENTNowhere", "ENTNever", "ENTNever;binary")


def test_single_valued_attributes_of_a_real_server_are_told_from_others(known):
    assert (known.single_valued["displayname"], known.single_valued["mail"]) == (True, False)


def test_a_real_class_must_and_may_have_what_its_superiors_say(known):
    must, may = known.must(["inetOrgPerson"]), known.may(["inetOrgPerson"])

    assert must == {"objectclass", "sn", "cn"}
    assert {"displayname", "seealso", "street", "sn"} <= may


def test_the_national_classes_are_known_where_their_file_is_loaded(known):
    assert NATIONAL.exists()
    assert known.missing(["ENTEleve", "ENTAuxEnseignant", "ENTEtablissement"], ["ENTPersonJointure"]) == ()


def test_each_name_and_number_of_a_class_is_known():
    schema = parsed(CLASSES, TYPES)

    assert schema.missing(["person", "RFC2256PERSON", "2.5.6.6"], ["commonName", "2.5.4.3"]) == ()


def test_kinds_and_superiors_are_read():
    schema = parsed(CLASSES, TYPES)

    found = [(schema.classes[name].kind, schema.classes[name].superiors) for name in ("entauxenseignant", "enteleve")]
    assert found == [("auxiliary", ("top",)), ("structural", ("person",))]


def test_what_several_classes_must_and_may_have_is_put_together():
    schema = parsed(CLASSES, TYPES)

    assert schema.must(["ENTEleve", "ENTAuxEnseignant"]) == {"objectclass", "sn", "cn", "entelevemef"}
    assert schema.may(["ENTAuxEnseignant"]) == {"objectclass", "entauxensmef"}


def test_a_class_that_is_its_own_superior_ends():
    assert parsed([b"( 1.2.3 NAME 'a' SUP a MUST cn )"], []).must(["a"]) == {"cn"}


@pytest.mark.parametrize("broken", [b"", b"(", b"no definition", b"\xff", b"( 1.2.9 NAME 'x' USAGE nonsense )"])
def test_a_definition_that_cannot_be_read_does_not_hide_the_others(broken):
    schema = parsed([broken, *CLASSES], [broken, *TYPES])

    assert schema.missing(["ENTEleve"], ["ENTEleveMEF"]) == ()


def test_a_server_that_names_no_subschema_has_no_schema_to_tell():
    with slapd() as server:
        section = DirectorySection.model_validate(server.section("reader"))
        with connect(section, Path("/"), {}, who="target ent") as link:
            link.root = type(link.root)()

            assert read_schema(link) is None
