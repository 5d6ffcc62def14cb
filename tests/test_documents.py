"""The documents: their links lead somewhere, the README is short, and docs/flags.md has the flags of the parser."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.parser import new_parser

ROOT = Path(__file__).parents[1]
MOST_README_LINES = 150
# Folders that are not part of the repository.
NOT_OURS = ("build", "demo_data", "dist", "shared")


def documents() -> Iterator[Path]:
    """Every Markdown file of the repository."""
    for path in sorted(ROOT.rglob("*.md")):
        top, *below = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") for part in (top, *below) if part != ".github")
        if not hidden and top not in NOT_OURS:
            yield path


def prose(path: Path) -> str:
    """The text without its blocks of code."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def links(path: Path) -> list[str]:
    """Where the links and pictures of a document lead, except to the web."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_links_are_found() -> None:
    readme = links(ROOT / "README.md")
    assert {"docs/examples.png", "docs/flags.md", "docs/inputs.md#limits", "CONTRIBUTING.md"} <= set(readme)
    assert "exit-statuses" in anchors(ROOT / "docs/verify.md")


def test_the_readme_is_short_and_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_README_LINES
    commands = {line.split("#")[0].strip() for line in lines if line.startswith("    make ")}
    assert commands == {"make demo", "make test"}


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    (commands,) = (a for a in new_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def section(command: str) -> str:
    """What flags.md says of a command."""
    _, *sections = re.split(r"^## ", (ROOT / "docs/flags.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = (one for one in sections if one.splitlines()[0] == command)
    return found


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs/flags.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)) == sorted(parsers())


@pytest.mark.parametrize("command", parsers())
def test_documented_flags_are_those_of_the_parser(command: str) -> None:
    flags = [option for action in parsers()[command]._actions for option in action.option_strings]
    # The flags of `plan` are those of `build`.
    text = section("build" if command == "plan" else command)
    documented = re.findall(r"^\| `(--\w+)[^|]*` \|", text, flags=re.MULTILINE)
    assert sorted(documented) == sorted(set(flags) - {"-h", "--help"})


@pytest.mark.parametrize("command", parsers())
def test_documented_choices_are_those_of_the_parser(command: str) -> None:
    text = section("build" if command == "plan" else command)
    for action in parsers()[command]._actions:
        if action.choices and action.option_strings:
            (row,) = (line for line in text.splitlines() if line.startswith(f"| `{action.option_strings[0]} "))
            missing = [choice for choice in action.choices if f"`{choice}`" not in row]
            assert not missing, row
