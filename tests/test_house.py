"""The rules of the house that no linter knows: layers, words, sizes, no clock in the core, and what may be made where.

Everything is read from the syntax tree, so that comments and texts may say what names may not.
"""

import ast
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "ent_sync"
MODULES = sorted(path for path in SRC.rglob("*.py") if "migrations" not in path.parts)
TREES = {path.relative_to(SRC).as_posix(): ast.parse(path.read_text()) for path in MODULES}
CORE = {name: tree for name, tree in TREES.items() if name.startswith("core/")}

DELIVERED = ("src", "tests", "config", "mappings", "deploy", "docs", "benchmarks", ".ci")
"""What is kept in the repository, beside the files at its root; caches and environments are not."""


def kept_files():
    """Every text of the repository, whether or not git is there to ask."""
    found = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    for folder in DELIVERED:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return found


def lines_that_match(pattern):
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in kept_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


# -- layers ------------------------------------------------------------------------------------------------------------


def test_nobody_imports_what_the_layers_forbid():
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_no_source_file_is_longer_than_500_lines():
    lengths = {path.relative_to(SRC).as_posix(): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > 500} == {}


# -- words -------------------------------------------------------------------------------------------------------------

NOT_OUR_WORDS = {
    "user": "say person, or account",
    "item": "say record, entry or change",
    "connector": "say source or target",
    "provider": "say source or target",
    "manager": "say what it does",
    "helper": "say what it does",
    "threshold": "say limit",
    "deadletter": "say quarantine, or refusal",
}
NOT_OUR_MODULES = {"utils", "util", "helpers", "common", "base", "misc"}


def words_of(name):
    """`HTTPServerUsers` and `dead_letters` in words, in the singular; two neighbours count as one word too."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    words = [re.sub(r"(?<=[^s])s$", "", word) for word in spaced.lower().split("_") if word]
    return {*words, *(first + second for first, second in pairwise(words))}


def names_given(tree):
    """The classes, functions, arguments and module constants that a module names."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def test_the_code_speaks_the_words_of_the_glossary():
    found = {
        f"{module}: {name}: {NOT_OUR_WORDS[word]}"
        for module, tree in TREES.items()
        for name in (*names_given(tree), *Path(module).with_suffix("").parts)
        for word in words_of(name) & NOT_OUR_WORDS.keys()
    }

    assert found == set()


def test_no_module_is_named_after_nothing():
    assert [name for name in TREES if Path(name).stem in NOT_OUR_MODULES] == []


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("UserName", "user"),
        ("all_items", "item"),
        ("LDAPConnector", "connector"),
        ("_Thresholds", "threshold"),
        ("dead_letters", "deadletter"),
        ("DeadLetter", "deadletter"),
        ("http_provider", "provider"),
    ],
)
def test_a_forbidden_word_is_found_however_it_is_written(name, word):
    assert word in words_of(name)


@pytest.mark.parametrize("name", ["itemise", "consumer", "used", "management", "StructureUse"])
def test_a_word_that_only_contains_a_forbidden_one_is_not_found(name):
    assert words_of(name) & NOT_OUR_WORDS.keys() == set()


# -- no clock, no chance in the core -----------------------------------------------------------------------------------

CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "uuid1", "uuid4", "urandom"}
CHANCE = {"time", "random", "secrets", "uuid", "os"}


def imported(tree):
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]


def calls(tree):
    """Calls by the last word of what is called, with their line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name, node.lineno


def test_the_core_reads_no_clock():
    found = [f"{module}:{line}" for module, tree in CORE.items() for name, line in calls(tree) if name in CLOCKS]

    assert found == []


def test_the_core_imports_neither_clock_nor_chance():
    assert {module: set(imported(tree)) & CHANCE for module, tree in CORE.items() if set(imported(tree)) & CHANCE} == {}


# -- who may make what -------------------------------------------------------------------------------------------------


def _is_only_said(node, parents):
    """Whether a name stands in an annotation, a union of types, a pattern, or a question about a type."""
    child, parent = node, parents.get(node)
    while parent is not None:
        match parent:
            case ast.BinOp(op=ast.BitOr()) | ast.MatchClass() | ast.Subscript():
                return True
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass" | "cast")):
                return True
            case ast.arg():
                return True
            case ast.AnnAssign(annotation=said) | ast.FunctionDef(returns=said) if said is child:
                return True
            case ast.stmt():
                return False
        child, parent = parent, parents.get(parent)
    return False


def makers(name):
    """The modules that use a class for more than its type: they call it, or hand it on to be called."""
    found = set()
    for module, tree in TREES.items():
        parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(tree):
            named = (isinstance(node, ast.Name) and node.id == name) or (
                isinstance(node, ast.Attribute) and node.attr == name
            )
            if named and not _is_only_said(node, parents):
                found.add(module)
    return found


def test_only_a_proof_makes_a_delivery_complete():
    assert makers("Complete") == {"core/completeness.py"}


def test_an_absence_is_made_from_a_proof_or_read_back_from_what_one_marked():
    assert makers("Absence") == {"core/completeness.py", "store/plans.py", "sync/map.py"}


def test_accounts_are_made_by_release_or_read_back_from_where_it_put_them():
    """`core/entry.py` opens sealed entries, the targets read back what they hold."""
    assert makers("Account") == {
        *("core/release.py", "core/entry.py"),
        *("targets/embedded/rows.py", "targets/ldap/parse.py"),
    }


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("x = Absence(1)", True),
        ("x = plan.Absence(1)", True),
        ("make = Absence if a else b", True),
        ("def f(x: Absence) -> Absence: ...", False),
        ("def f(x: list[Absence]) -> None: ...", False),
        ("T: TypeAlias = Absence | int", False),
        ("isinstance(x, Absence)", False),
        ("match x:\n    case Absence(): ...", False),
    ],
)
def test_a_maker_is_told_from_a_reader(monkeypatch, code, made):
    monkeypatch.setitem(TREES, "new.py", ast.parse(code))

    assert ("new.py" in makers("Absence")) is made


# -- docstrings --------------------------------------------------------------------------------------------------------


def undocumented(module, tree):
    """What lacks a docstring; ruff looks at the methods, where some only fulfil a library's protocol."""
    if tree.body and not ast.get_docstring(tree):
        yield module
    named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in tree.body:
        if isinstance(node, named) and not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{module}: {node.name}"


def test_every_public_module_class_and_function_says_what_it_gives():
    assert [name for module, tree in TREES.items() for name in undocumented(module, tree)] == []


# -- where we work is nobody's business --------------------------------------------------------------------------------


_HERE = re.compile(r"(?<![\w.$}-])/(work|root|tmp/bash_jobs)/")
_REGISTRIES = re.compile(
    r"[p]ypi\.org|[p]ythonhosted|[i]ndex-url|[t]rusted-host|[a]rtifactory|[n]exus\.|[r]egistry\.(?!ya?ml|py)[a-z]+\.|"
    r"https?://[^\s/]*[m]irror|[d]eb\.debian\.org|[g]hcr\.io|[p]roxy\.golang"
)


def test_no_file_holds_a_path_of_the_machine_it_was_written_on():
    assert lines_that_match(_HERE) == []


def test_no_file_names_a_registry_or_a_mirror():
    """Packages come from wherever the installer's own settings say; the locks pin hashes, not places."""
    assert lines_that_match(_REGISTRIES) == []


@pytest.mark.parametrize("line", ["cd {}main", "HOME={}x", 'open("{}x")', "{}"])
@pytest.mark.parametrize("folder", ["work", "root"])
def test_a_path_of_a_machine_is_found(line, folder):
    assert _HERE.search(line.format(f"/{folder}/"))


@pytest.mark.parametrize("line", ["a/{}/b", "{}er", "DIR/{}/x", "https://host.example/{}"])
@pytest.mark.parametrize("folder", ["work", "root"])
def test_a_folder_of_that_name_elsewhere_is_not_found(line, folder):
    assert not _HERE.search(line.format(folder))


@pytest.mark.parametrize("host", ["py" + "pi.org", "files.python" + "hosted.org", "pip-mir" + "ror.example.net/simple"])
def test_a_registry_is_found(host):
    assert _REGISTRIES.search(f"https://{host}")
