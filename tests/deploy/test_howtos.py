"""The sessions of the documentation are played: each command is run, its exit code and its answer are those written.

A ```console block holds commands after `$ ` and what they answer. `…` stands for what differs from time to time, a line
of it alone for lines left out; `# exit N` after a command is its exit code, else 0. PLAN and RUN are the names that the
answers told last. A ```diff block is applied to the file that it names. All blocks of a page are one session.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SESSIONS = ["README.md", "docs/operating.md", "docs/mapping.md", "docs/ldap.md"]


@dataclass
class Session:
    dir: Path
    names: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)

    def type_(self, command):
        if exported := re.fullmatch(r"export (\w+)=(\S+)", command):
            self.environment[exported[1]] = exported[2]
            return 0, ""
        command = re.sub(r"\b(PLAN|RUN)\b", lambda name: self.names[name[0]], command)
        programs = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.dir,
            env=os.environ
            | {"PATH": f"{programs}:{os.environ['PATH']}", "ENT_SYNC_DEPLOY": str(ROOT / "deploy")}
            | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        self._remember(done.stdout)
        return done.returncode, done.stdout

    def _remember(self, answer):
        name = r"(\d{8}T\d{12}-[0-9a-f]{4})"
        for word, pattern in (("PLAN", rf"plan show {name}"), ("RUN", rf"Run {name}")):
            if told := re.findall(pattern, answer):
                self.names[word] = told[-1]


def blocks_of(text):
    return re.findall(r"^```(console|diff)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands_of(block):
    """The commands of a block, each with its exit code and the lines of its answer."""
    for typed in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        line, *answer = typed.rstrip("\n").split("\n")
        command, _, code = line.partition("  # exit ")
        yield command.strip(), int(code or 0), answer


def pattern_of(answer):
    """What an answer may be; blanks at the ends of lines do not count."""
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else _pattern(line) + "\n" for line in answer]
    return re.compile("".join(lines))


def _pattern(line):
    return r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("…"))


def patched(text, diff):
    old = "".join(f"{line[1:]}\n" for line in diff if line[0] in " -")
    new = "".join(f"{line[1:]}\n" for line in diff if line[0] in " +")
    assert text.count(old) == 1, f"not to be found once:\n{old}"
    return text.replace(old, new)


@pytest.mark.parametrize("page", SESSIONS)
def test_what_a_page_tells_to_type_answers_as_it_says(page, tmp_path):
    session = Session(tmp_path)

    for kind, block in blocks_of((ROOT / page).read_text()):
        if kind == "diff":
            name, *diff = block.rstrip("\n").split("\n")
            file = tmp_path / name.removeprefix("--- ")
            file.write_text(patched(file.read_text(), diff))
            continue
        for command, code, expected in commands_of(block):
            got, answer = session.type_(command)
            shown = "\n".join(line.rstrip() for line in answer.splitlines()) + "\n" if answer else ""

            assert got == code, f"{command}\n{answer}"
            assert not expected or pattern_of(expected).fullmatch(shown), f"{command}\n{answer}"


@pytest.mark.parametrize("page", SESSIONS)
def test_a_page_of_sessions_has_some(page):
    assert blocks_of((ROOT / page).read_text())


@pytest.mark.parametrize(
    ("answer", "said", "same"),
    [
        (["Run …: done"], "Run 1: done\n", True),
        (["Run …: done"], "Run 1: held\n", False),
        (["first", "…", "last"], "first\nmore\nmore\nlast\n", True),
        (["first", "…", "last"], "first\nmore\n", False),
        (["one"], "one\ntwo\n", False),
    ],
)
def test_an_answer_that_differs_would_be_seen(answer, said, same):
    assert bool(pattern_of(answer).fullmatch(said)) is same


def test_a_diff_that_does_not_fit_would_be_seen():
    with pytest.raises(AssertionError):
        patched("one\ntwo\n", [" one", "+more", " three"])


# -- what pages point at -----------------------------------------------------------------------------------------------

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", page.read_text())

    dead = [file for file, _ in links if file and not (page.parent / file).exists()]

    assert dead == []


def anchors_of(text):
    """The anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_of_a_page_is_a_heading(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())

    dead = [
        anchor for file, anchor in links if anchor not in anchors_of((page.parent / (file or page.name)).read_text())
    ]

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    defined = {
        name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }

    named = re.findall(r"`(test_\w+)`", page.read_text())

    assert [name for name in named if name not in defined] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "bad-input.md"], ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    """Those of the project: what lies in an installation, or is an example, has no slash or is listed here."""
    made = {
        "/etc/",
        "/opt/",
        "/srv/",
        "/var/",
        "/usr/",
        "trial/",
        "region/",
        "demo/",
        "deliveries/",
        ".venv/",
        "wire/aaf.py",
    }
    named = re.findall(r"`([\w./-]+/(?:[\w-]+\.(?:py|yaml|md|toml))?)`", page.read_text())

    lost = [
        name
        for name in named
        if not any(name.startswith(each) for each in made)
        and not any((ROOT / place / name).exists() for place in (".", "src/ent_sync", "docs"))
    ]

    assert lost == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
