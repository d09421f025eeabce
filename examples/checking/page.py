"""What docs/consuming.md shows, held against what is run."""

from parts import ROOT


def must_stand_in(file, heading, language="", more=()):
    """Each line that the page shows first below a heading, or below words in bold, in that language stands in the file, or one `more`,
    whatever spaces are in either."""
    page = (ROOT / "docs" / "consuming.md").read_text()
    below = page.split(heading if heading.startswith("**") else f"\n## {heading}\n")[1]
    shown = below.split(f"```{language}")[1].split("```")[0].splitlines()[1:]
    text = "".join(without_spaces(each.read_text()) for each in (file, *more))
    if strange := [line for line in shown if without_spaces(line) not in text]:
        raise SystemExit(f"docs/consuming.md shows, and {file.relative_to(ROOT)} has not: {strange}")


def without_spaces(text):
    return "".join(text.split())
