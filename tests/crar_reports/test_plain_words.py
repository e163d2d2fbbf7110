"""The plain words that a page opens with follow its figures, each way that these can come out, and stay plain."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

import crar_reports
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, UNDECIDED
from crar_reports.pages import plain_words as words
from tests.crar_reports.pages import plain

TEMPLATES = Path(crar_reports.__file__).parent / "templates"
HELD = {"S6": HOLDS, "S7": HOLDS, "S8": HOLDS}
RESTORED = {"placement": (3, 3), "symmetry": (1, 3)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (words.landscape("failed", "swapped", HELD), "This transfer failed; its embedding is a mirror image"),
        (words.landscape("successful", "matched", HELD), "This transfer succeeded; its embedding is that of its base."),
        (words.landscape("open", "neither", HELD), "Whether this transfer failed is open; its embedding is neither"),
        (words.landscape("failed", "swapped", HELD), "is in a local minimum; a steep barrier stands in the way."),
        (words.landscape("failed", "swapped", HELD | {"S7": FAILS, "S6": FAILS}), "in no failed minimum; no steep barrier"),
        (words.landscape("failed", "swapped", HELD | {"S8": FAILS}), "Training the dynamics too does not make"),
        (words.landscape("failed", "swapped", {}), "Whether the encoder is in a local minimum is undecided"),
        (words.alone({"S7": HOLDS, "S8": HOLDS}), "Training the dynamics too lowers its loss clearly."),
        (words.alone({"S7": UNDECIDED, "S8": FAILS}), "Training the dynamics too does not lower its loss clearly."),
        (words.claims(2, 3, HELD), "Most of the transfers failed by what they do. Of those: with frozen dynamics"),
        (words.claims(0, 3, {}), "None of the transfers failed by what they do. The claims on failed transfers were not put to a test."),
        (words.claims(3, 3, HELD | {"S6": words.MIXED}), "whether a steep barrier stands in the way differs."),
        (words.cure(already=True, by=None, restored=None, loose=False), "Nothing was cured"),
        (words.cure(already=True, by=None, restored=None, loose=False, as_base=True), "mispredictions of this model are about as few as its base's"),
        (words.cure(already=False, by="placement", restored=True, loose=False, as_base=True), "an encoder that mispredicts about as little as its base"),
        (words.cure(already=True, by=None, restored=None, loose=True), "within the limits, which are loose"),
        (words.cure(already=False, by="placement", restored=False, loose=True), "by `placement` that is within the limits, which are loose"),
        (words.cure(already=False, by="placement", restored=True, loose=False), "`placement` gave it an encoder that its frozen dynamics can use. Compared"),
        (words.cure(already=False, by="placement", restored=False, loose=False), "the chosen encoder is not as good."),
        (words.cure(already=False, by=None, restored=None, loose=False), "This transfer is not cured"),
        (words.cure(already=False, by=None, restored=True, loose=False), "the best candidate is as good."),
        (words.cures(RESTORED, 0), "all by `placement`; some by `symmetry`. Methods choose by losses alone; their bases confirm every cure."),
        (words.cures(RESTORED, 1), "do not confirm every cure"),
        (words.cures(RESTORED | {"noise": (1, 3)}, 0), "all by `placement`; some by `symmetry`, `noise`."),
        (words.cures({}, 0), "nothing to cure"),
        (words.escape(0, 0, 0, 8, certificate="minimum"), "Noise carried none of the members out"),
        (words.escape(8, 4, 0, 8, certificate="minimum"), "Noise carried all of the members out"),
        (words.escape(8, 4, 0, 8, certificate="minimum"), "Some of those that left came to the base's embedding."),
        (words.escape(2, 0, 1, 8, certificate="saddle"), "The point is no certified minimum; some members diverged."),
        (words.escapes(0, 0, 0, 0, together=None), "nothing to leave"),
        (words.escapes(6, 0, 8, 2, together=True), "most of the members out of these minima; none of those"),
        (words.escapes(6, 0, 8, 2, together=True), "The look of a minimum goes with"),
        (words.escapes(6, 0, 8, 2, together=False), "Nothing in the look of a minimum"),
        (words.escapes(6, 0, 8, 2, together=None), "cannot be tested on so few"),
        (words.maps([], []), "Whether failure needs the negative was not asked. Nothing works through every map tried."),
        (words.maps([words.NO, words.NO], ["placement"]), "Failure does not need the negative. These work through every map that they were tried with: `placement`."),
        (words.maps([], list("abcdefg")), "`e`, `f`, and others."),
        (words.maps([words.YES], []), "Of the maps tried, failure needs the negative."),
        (words.maps([UNDECIDED], []), "Whether failure needs the negative is undecided."),
        (words.maps([words.YES, words.NO], []), "differs between kinds of transfers"),
        (words.predict(given=False, predicts=None), "no transfers were given"),
        (words.predict(given=True, predicts=None), "too little is known of their outcomes"),
        (words.predict(given=True, predicts=True), "predicts whether its transfers succeed"),
        (words.predict(given=True, predicts=False), "Nothing that is known"),
        (words.report({"freeze": (0, 2), "negate-input": (2, 2)}, near=True, cured=None), "none by `freeze`; all by `negate-input`. The transition loss of the transfers is near"),
        (words.report({"freeze": (1, 2)}, near=False, cured=True), "is not near that of the bases. The failed transfer shown here was cured"),
        (words.report({"freeze": (1, 2)}, near=False, cured=False), "was not cured by `crar cure`."),
        (words.study(0, 0, {}, unfinished=True), "No transfer is done. No claim is decided. Some models are not done."),
        (words.study(3, 4, {"S12": [HOLDS, FAILS, HOLDS], "S14": [UNDECIDED]}, unfinished=False), "S12 holds or does not hold, S14 undecided."),
        (words.theorem(proven=True, exceptions=True, verdict=EXCEPTIONS), "landscape, with exceptions. In the trained model"),
        (words.theorem(proven=True, exceptions=False, verdict=FAILS), "encoder's landscape. In the trained model changed dynamics do not"),
        (words.theorem(proven=False, exceptions=False, verdict=HOLDS), "The theorem is not proven"),
        (words.trajectory([3.0, 1.0, 2.0], 0.9), "The loss fell from the first snapshot to the last. A snapshot before the last was lower."),
        (words.trajectory([1.0, 2.0], 0.9), "The loss rose"),
        (words.trajectory([2.0, 1.0], 0.4), "No snapshot was lower than the last. The plane holds less than half"),
        (words.trajectory([float("nan"), 1.0], 0.9), "is not finite"),
        (words.verdicts({"simple": (7, 10), "random": (0, 2)}, (1, 3), missing=True), "In the simple maze most of the measured claims hold; in the random maze none"),
        (words.verdicts({"simple": (7, 10)}, (1, 3), missing=True), "The released data give some of the verdicts that they have an answer to. Some claims were not"),
        (words.verdicts({"simple": (10, 10)}, (0, 0), missing=False), "In the simple maze all of the measured claims hold."),
        (words.verdicts({}, (0, 0), missing=True), "No claim was measured."),
    ],
)  # fmt: skip
def test_words_follow_the_figures(text: str, said: str) -> None:
    assert said in text
    assert plain(text), text


@pytest.mark.parametrize("page", [words.landscape, words.claims])
def test_every_verdict_has_its_words(page: Callable[..., str]) -> None:
    first = ("failed", "swapped") if page is words.landscape else (2, 3)
    texts = set()
    for name in ("S6", "S7", "S8"):
        for verdict in (HOLDS, EXCEPTIONS, FAILS, UNDECIDED, words.MIXED):
            texts.add(page(*first, HELD | {name: verdict}))
    assert len(texts) == 3 * 5 - 2  # all that hold are one
    assert all(map(plain, texts))


def test_the_lists_of_words_are_complete() -> None:
    for outcome, embedding in product(words.OUTCOMES, words.EMBEDDINGS):
        assert plain(words.landscape(outcome, embedding, HELD))
    for verdict in (HOLDS, EXCEPTIONS, FAILS, UNDECIDED):
        assert plain(words.theorem(proven=True, exceptions=True, verdict=verdict))
    assert [words.amount(count, 4) for count in range(5)] == ["none", "some", "some", "most", "all"]
    assert words.amount(0, 0) == "none"


def test_a_number_or_a_long_text_is_not_plain() -> None:
    assert not plain("It has 3 of them.")
    assert not plain("One. Two. Three. Four.")
    assert not plain(" ".join(["Word"] * 25) + ".")
    assert plain("Claim S14 holds of `member-0.pt`.")


STILL_DECIDING = {"alone.md", "claims.md"}
"""Templates that still choose between words; all others only place what Python says."""


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.md")), ids=lambda path: path.name)
def test_a_template_places_words_and_decides_none(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert text.split("\n\n")[1] == "{{ plainly }}"  # above all numbers
    assert bool(re.search(r"\bif\b", re.sub(r"^[^{]*$", "", text, flags=re.MULTILINE))) is (template.name in STILL_DECIDING)
