"""What every report page has: a summary before anything else, a caption under every figure, its words explained."""

from __future__ import annotations

import re


def summary_of(text: str) -> list[str]:
    """The lines of the summary that a page opens with; fails where the page opens otherwise, or a figure has no caption."""
    opening = next(block for block in text.split("\n\n") if not re.match(r"# |`", block)).split("\n")
    assert 4 <= len(opening) <= 6, opening
    assert all(line.startswith("- **") for line in opening), opening
    assert opening[0].startswith("- **Asked**")
    assert opening[-1].startswith("- **How sure**")
    for figure, after in re.findall(r"^(!\[.*)\n\n(.*)", text, re.MULTILINE):
        assert after.startswith("*Figure: "), figure
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == text.count("*Figure: ")
    assert text.count("## Terms") == 1
    return opening
