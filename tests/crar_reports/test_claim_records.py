"""A claim is one record: its words are made of the constants that its rules compare with, and what rules read is typed."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path

import pytest

from crar_model.core.files import json_text
from crar_reports.claims import record
from crar_reports.claims.evidence import Listed, Paths
from crar_reports.claims.evidence import Path as Way
from crar_reports.claims.reading import NotMeasured, need, read
from crar_reports.claims.record import HOLDS, MIXED, UNDECIDED, Verdict, by_verdict, majority, part
from crar_reports.claims.table import CLAIMS, NAMED

FILES = sorted(Path(record.__file__).parent.glob("*.py"))


def test_every_claim_has_a_rule_with_a_check_of_its_own() -> None:
    assert list(NAMED) == [f"S{number}" for number in range(1, 15)]
    for claim in CLAIMS:
        rules = [rule for rule in (claim.listed, claim.samples, claim.alone, claim.study) if rule is not None]
        assert rules, claim.id
        assert all(rule.check for rule in rules)
        assert claim.text


def test_no_number_is_written_into_a_check() -> None:
    """Each is formatted from the constant that the rule compares with; names of claims, "e(-s)" and the exact 0 are none."""
    seen = 0
    for path in FILES:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("Rule", "OfStudy"):
                pieces = [node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
                words = re.sub(r"\bS\d+\b|\b0\b", "", " ".join(pieces))
                assert not re.search(r"\d|tenth|quarter", words), (path.name, words)
                seen += 1
    assert seen == sum(rule is not None for claim in CLAIMS for rule in (claim.listed, claim.samples, claim.alone, claim.study)) + 0


def test_thresholds_stand_in_constants_alone() -> None:
    """No rule compares with a fraction that is written where it is used."""
    for path in FILES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                numbers = [node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, float)]
                assert set(numbers) <= {0.0}, (path.name, function.name)


def test_a_share_in_words() -> None:
    assert [part(share) for share in (0.5, 0.25, 0.1, 0.3)] == ["half", "a quarter of", "a tenth of", "30 % of"]


def test_verdicts_are_words_in_json_and_on_pages() -> None:
    assert json.loads(json_text({"verdict": HOLDS})) == {"verdict": "holds"}
    assert f"{HOLDS}" == "holds"
    assert len(Verdict) == 5


def test_most_have_to_agree() -> None:
    assert majority([HOLDS] * 4 + [UNDECIDED]) == (HOLDS, "holds 4, undecided 1")
    assert majority([HOLDS] * 3 + [UNDECIDED]) == (MIXED, "holds 3, undecided 1")
    assert by_verdict([("S1", HOLDS), ("S2", UNDECIDED), ("S3", HOLDS), ("S1", HOLDS)]) == "holds: S1, S3; undecided: S2"


def test_plain_data_are_read_as_their_types_say() -> None:
    plain = {
        "frozen": {"barrier": 0.5, "start": 1.0, "end": 0.0, "more": 3}, "valleys": None, "straight": {"weight": math.nan}, "searches": {"a": {"barrier": 0.1}},
        "space": "weight",
    }  # fmt: skip
    paths = read(Paths, plain)
    assert isinstance(paths.frozen, Way)
    assert (paths.frozen.barrier, paths.valleys, paths.straight, paths.searches["a"].barrier) == (0.5, None, {"weight": None}, 0.1)
    assert paths.lifted is None  # of before it was measured
    with pytest.raises(AttributeError, match="free"):
        print(paths.free)
    assert read(Listed, {"oddness": (1.0, None), "shifts": [{"way": "x", "distance": 0.0}]}).shifts[0].way == "x"
    with pytest.raises(TypeError):
        read(Listed, {"match": 3})
    assert need(0.0) == 0.0
    with pytest.raises(NotMeasured):
        need(None)
