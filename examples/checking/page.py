"""What docs/consuming.md shows, held against what is run."""

from parts import ROOT


def must_stand_in(file, heading):
    """Each line that the page shows first below a heading stands in the file, whatever spaces are in either."""
    page = (ROOT / "docs" / "consuming.md").read_text()
    shown = page.split(f"\n## {heading}\n")[1].split("```")[1].splitlines()[1:]
    text = without_spaces(file.read_text())
    if strange := [line for line in shown if without_spaces(line) not in text]:
        raise SystemExit(f"docs/consuming.md shows, and {file.relative_to(ROOT)} has not: {strange}")


def without_spaces(text):
    return "".join(text.split())
