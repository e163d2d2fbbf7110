"""What every report page has: a summary before anything else, a caption under every figure, its words explained;
and the same page as HTML with its figures inside."""

from __future__ import annotations

import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crar_reports.measure import dissection, release
from crar_reports.measure.paths import Effort
from landscape_tools import convergence


def end_early(patch: pytest.MonkeyPatch) -> None:
    """Let the descents and paths of `--quick` end after a few steps: for pages where nobody asks where they end."""
    patch.setattr(dissection, "QUICK_STEPS", 4)
    patch.setattr(dissection, "examine", partial(dissection.examine, iterations=4))
    patch.setattr(dissection, "Effort", lambda **given: Effort(**given | {"images": 5, "iterations": 6, "zooms": 1}))
    patch.setattr(convergence, "polish", lambda *_, **__: None)
    patch.setattr(release, "ROUND", 1)
    patch.setattr(release, "SETTLED", 1.0)


def plain_words_of(text: str) -> str:
    """The verdict that stands below the title; fails where it is no plain words, or where a number stands above it."""
    title, words = text.split("\n\n")[:2]
    assert title.startswith("# ")
    assert plain(words), words
    return words


def plain(words: str) -> bool:
    """Whether a text is one to three sentences under 25 words without a figure: names of claims and of files and methods are none."""
    bare = re.sub(r"`[^`]*`|\bS\d+\b", "name", words)
    sentences = re.split(r"(?<=\.) ", bare)
    short = all(len(sentence.split()) < 25 and sentence[0].isupper() and sentence.endswith(".") for sentence in sentences)
    return short and len(sentences) <= 3 and not re.search(r"\d|\n", bare)


def summary_of(text: str) -> list[str]:
    """The lines of the summary below a page's verdict; fails where the page opens otherwise, or a figure has no caption."""
    words = plain_words_of(text)
    opening = next(block for block in text.split("\n\n") if block != words and not re.match(r"# |`", block)).split("\n")
    assert 4 <= len(opening) <= 6, opening
    assert all(line.startswith("- **") for line in opening), opening
    assert opening[0].startswith("- **Asked**")
    assert opening[-1].startswith("- **How sure**")
    for figure, after in re.findall(r"^(!\[.*)\n\n(.*)", text, re.MULTILINE):
        assert after.startswith("*Figure: "), figure
    assert len(re.findall(r"^!\[", text, re.MULTILINE)) == text.count("*Figure: ")
    assert text.count("## Terms") == 1
    return opening


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text of the cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def whole_page(report: Path) -> Tags:
    """The HTML beside a report: its tables are tables, its figures inside, and it loads nothing from anywhere."""
    text, page = report.read_text(), report.with_suffix(".html").read_text()
    tags = Tags(page)
    rows = [line for line in text.split("\n") if line.startswith("|")]
    rules = [line for line in rows if set(line) <= set("|-")]
    assert len(tags.all("table")) == len(rules)
    assert len(tags.all("tr")) == len(rows) - len(rules)
    assert len(tags.all("img")) == len(re.findall(r"^!\[", text, re.MULTILINE))
    assert all(str(image["src"]).startswith("data:image/") for image in tags.all("img"))
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in tags.tags}
    assert tags.all("script") == [{}]  # that of every page, which sorts its tables; it is inside
    assert not re.search(r"url\(|@import", page)
    for link in tags.all("a"):
        assert (report.parent / str(link["href"])).is_file(), link
    return tags
