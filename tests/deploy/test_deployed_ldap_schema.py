"""The schema file: slapd takes it, and it says what the tables of the national schema say."""

import re
import subprocess
from pathlib import Path

import pytest

SCHEMA = Path(__file__).parents[2] / "deploy" / "ldap" / "ent.schema"
README = SCHEMA.with_name("README.md")
STANDARD = Path("/etc/ldap/schema")
TEXT = SCHEMA.read_text()


def definitions(kind):
    """Name → the definition in one line."""
    found = {}
    for text in re.findall(rf"(?ms)^{kind} \((.*?)\)$(?=\n\n|\n\Z)", TEXT):
        found[re.search(r"NAME '(\w+)'", text)[1]] = " ".join(text.split())
    return found


ATTRIBUTES, CLASSES = definitions("attributetype"), definitions("objectclass")


def names(definition, word):
    listed = re.search(rf"\b{word} \( (.*?) \)", definition)
    return set(listed[1].split(" $ ")) if listed else set()


def slaptest(folder, *lines):
    (folder / "slapd.conf").write_text("\n".join([*lines, ""]))
    return subprocess.run(
        ["/usr/sbin/slaptest", "-u", "-f", folder / "slapd.conf"], capture_output=True, text=True, check=False
    )


def includes(*schemas):
    return [f"include {path}" for path in schemas]


STANDARD_SCHEMAS = [STANDARD / f"{name}.schema" for name in ("core", "cosine", "inetorgperson")]


def test_slapd_takes_the_schema_after_the_standard_ones(tmp_path):
    done = slaptest(tmp_path, *includes(*STANDARD_SCHEMAS, SCHEMA))

    assert done.returncode == 0, done.stderr


def test_slapd_takes_it_under_another_number_that_stands_once(tmp_path):
    (tmp_path / "own.schema").write_text(TEXT.replace("1.3.6.1.4.1.32473", "1.3.6.1.4.1.99999"))

    done = slaptest(tmp_path, *includes(*STANDARD_SCHEMAS, tmp_path / "own.schema"))

    assert done.returncode == 0, done.stderr
    assert TEXT.count("1.3.6.1.4.1.32473") == 1


def test_the_file_holds_nothing_that_the_reader_of_these_tests_misses():
    assert (len(ATTRIBUTES), len(CLASSES)) == (TEXT.count("attributetype ("), TEXT.count("objectclass ("))


def test_no_class_and_attribute_share_a_name():
    lower = [name.lower() for name in (*ATTRIBUTES, *CLASSES)]

    assert len(set(lower)) == len(lower)


def test_no_two_definitions_share_a_number():
    numbers = re.findall(r"^\w+ \( (ENT\w+:\d+) ", TEXT, re.MULTILINE)

    assert len(set(numbers)) == len(numbers) == len(ATTRIBUTES) + len(CLASSES)


@pytest.mark.parametrize(
    ("name", "above", "kind", "must"),
    [
        ("ENTPerson", "inetOrgPerson", "STRUCTURAL", "ENTPersonLogin ENTPersonJointure"),
        (
            *("ENTEleve", "ENTPerson", "STRUCTURAL"),
            "ENTEleveStatutEleve ENTEleveMEF ENTEleveLibelleMEF ENTEleveNivFormation ENTEleveFiliere ENTEleveClasses "
            "ENTEleveMajeur",
        ),
        ("ENTAuxPersRelEleve", "top", "AUXILIARY", "ENTAuxPersRelEleveEleve"),
        ("ENTAuxEnseignant", "top", "AUXILIARY", ""),
        ("ENTAuxNonEnsServAc", "top", "AUXILIARY", ""),
        ("ENTAuxNonEnsCollLoc", "top", "AUXILIARY", ""),
        ("ENTAuxNonEnsEtab", "top", "AUXILIARY", ""),
        ("ENTAuxPersExt", "top", "AUXILIARY", ""),
        ("ENTAuxTuteurStage", "top", "AUXILIARY", "ENTAuxTuteurStageSociete ENTAuxTuteurStageEleves"),
        ("ENTAuxRespEntrp", "top", "AUXILIARY", "ENTAuxRespEntrpSociete"),
        ("ENTPersonRelation", "top", "AUXILIARY", ""),
        (
            *("ENTStructure", "organizationalUnit", "STRUCTURAL"),
            "ENTStructureJointure ENTStructureNomCourant ENTStructureSIREN",
        ),
        (
            *("ENTEtablissement", "ENTStructure", "STRUCTURAL"),
            "ENTEtablissementMinistereTutelle ENTEtablissementContrat",
        ),
        ("ENTServAc", "ENTStructure", "STRUCTURAL", "ENTServAcAcademie"),
        ("ENTCollLoc", "ENTStructure", "STRUCTURAL", "ENTCollLocLieuGeographique"),
        ("ENTEntreprise", "ENTStructure", "STRUCTURAL", "ENTEntrepriseEtabs"),
        *(
            (name, "groupOfNames", "STRUCTURAL", "")
            for name in ("ENTClasse", "ENTGroupe", "ENTGroupementEtabs", "ENTRelEleve", "ENTProfil", "ENTRoleAppli")
        ),
    ],
)
def test_a_class_is_of_the_kind_that_the_table_says(name, above, kind, must):
    definition = CLASSES[name]

    said = re.search(r"SUP (\w+) (\w+)", definition)
    assert (said[1], said[2], names(definition, "MUST")) == (above, kind, set(must.split()))


@pytest.mark.parametrize(
    ("name", "single"),
    [
        ("ENTPersonJointure", False),
        ("ENTPersonStructRattach", True),
        ("ENTPersonFonctions", False),
        ("ENTPersonMobileSMS", True),
        ("ENTPersonAutresMails", False),
        ("ENTPersonGARIdentifiant", True),
        ("ENTEleveClasses", False),
        ("ENTEleveMajeur", True),
        ("ENTElevePersRelEleve", False),
        ("ENTElevePersRelEleve1", True),
        ("ENTEleveAdresseRel", False),
        ("ENTAuxPersRelEleveEleve", False),
        ("ENTAuxEnsClassesMatieres", False),
        ("ENTStructureSIREN", True),
        ("ENTStructureClasses", False),
        ("ENTStructureJointure", False),
    ],
)
def test_an_attribute_has_one_value_where_the_table_says_so(name, single):
    assert ATTRIBUTES[name].endswith("SINGLE-VALUE") is single


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("ENTPersonDateNaissance", "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"),
        ("ENTPersonStructRattach", "SYNTAX 1.3.6.1.4.1.1466.115.121.1.12"),
        ("ENTAuxPersRelEleveEleve", "SYNTAX 1.3.6.1.4.1.1466.115.121.1.12"),
        ("ENTElevePersRelEleve", "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"),
        ("ENTPersonGARIdentifiant", "SYNTAX 1.3.6.1.1.16.1"),
        ("ENTPersonMobileSMS", "SUP mobile"),
        ("ENTPersonAutresMobiles", "SUP mobile"),
        ("ENTPersonMailDiffusion", "SUP mail"),
        ("ENTPersonAutresMails", "SUP mail"),
    ],
)
def test_an_attribute_is_of_the_syntax_that_the_table_says(name, syntax):
    assert re.search(rf"{re.escape(syntax)}( SINGLE-VALUE)?$", ATTRIBUTES[name].strip())


def test_every_attribute_belongs_to_a_class():
    taken = {name for definition in CLASSES.values() for word in ("MUST", "MAY") for name in names(definition, word)}

    assert ATTRIBUTES.keys() - taken == set()


# -- the README --------------------------------------------------------------------------------------------------------


def example(language):
    """The first block of that language in the README."""
    return re.search(rf"(?s)```{language}\n(.*?)```", README.read_text())[1]


def test_slapd_takes_the_configuration_of_the_readme(tmp_path):
    (tmp_path / "db").mkdir()
    text = example("conf")
    for placed, here in (
        ("/etc/ldap/schema/ent.schema", str(SCHEMA)),
        ("/var/lib/ldap/ent", str(tmp_path / "db")),
        ("/run/slapd", str(tmp_path)),
    ):
        assert placed in text
        text = text.replace(placed, here)

    done = slaptest(tmp_path, text)

    assert done.returncode == 0, done.stderr


def test_the_schema_becomes_an_entry_of_cn_config_as_the_readme_says(tmp_path):
    (tmp_path / "slapd.conf").write_text("\n".join([*includes(*STANDARD_SCHEMAS, SCHEMA), ""]))
    (tmp_path / "slapd.d").mkdir()

    subprocess.run(["/usr/sbin/slaptest", "-f", tmp_path / "slapd.conf", "-F", tmp_path / "slapd.d"], check=True)

    [made] = (tmp_path / "slapd.d" / "cn=config" / "cn=schema").glob("cn={*}ent.ldif")
    assert made.read_text().count("olcObjectClasses:") == len(CLASSES)
