# ruff: noqa: INP001 - a script beside the pages that show its picture
"""Draws `docs/img/demo.svg`: the demonstration as a terminal shows it. Called by `make picture`.

Plays `ent-sync demo` in a temporary folder and draws two of its chapters. What differs from run to run (names of runs,
seconds, dates) is put in fixed form, so that the picture changes only when the product does.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "img" / "demo.svg"
WIDTH = 118
COLOURS = {
    re.compile(r"^Run .*: done.*$", re.MULTILINE): "bold green",
    re.compile(r"^Run .*: held.*$", re.MULTILINE): "bold yellow",
    re.compile(r"^\$ .*$", re.MULTILINE): "bold",
    re.compile(r"^\d\. .*$", re.MULTILINE): "bold cyan",
    re.compile(r"^(Nothing of it was used|Who left is suspended|Birth dates, addresses).*$", re.MULTILINE): "green",
}


def told() -> str:
    """What the demonstration says, in fixed form, without its last parts."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("ent-sync")
        command = [program, "demo", "--dir", f"{folder}/demo"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = text[: text.index("4. One person again")]
    text = re.sub(r"\bRun \d{8}T\d{12}-[0-9a-f]{4}", "Run …", text)
    text = re.sub(r"\d+\.\d s\)", "… s)", text)
    days = sorted(set(re.findall(r"\b20\d\d-\d\d-\d\d\b", text)))
    for number, day in enumerate(days, start=1):
        fixed = f"2026-09-{number:02d}"
        text = text.replace(day, fixed).replace(day.replace("-", ""), fixed.replace("-", ""))
    return text


def drawn(text: str) -> str:
    """The picture."""
    shown = Text("$ make demo\n" + re.sub(r" ─+$", "", text, flags=re.MULTILINE).rstrip())
    for pattern, style in COLOURS.items():
        for found in pattern.finditer(shown.plain):
            shown.stylize(style, *found.span())
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(shown)
    return console.export_svg(title="ent-sync demo", unique_id="demo")


def main() -> None:
    """Draw it."""
    PICTURE.parent.mkdir(exist_ok=True)
    # No font from elsewhere: who reads the page asks nobody for anything.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", drawn(told()), flags=re.DOTALL)
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
