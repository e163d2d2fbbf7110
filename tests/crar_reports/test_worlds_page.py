"""The page of worlds: each rule comes out each way, and its counts are those of the tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crar_model.core.errors import UserError
from crar_reports.pages.worlds import one_world, write_page
from crar_reports.pages.worlds_view import Mended, OneWorld, Through, Worlds, aimed, pooled, standing, traps
from crar_reports.statistics import Share, share_by_base
from tests.crar_reports.study_rows import Row, row, transfer, write_rows

ALL, NONE, HALF = [[True, True]] * 6, [[False, False]] * 6, [[True, False]] * 6


def through(right: list[list[bool]], good: list[list[bool]] | None = None, **given: Any) -> Through:
    own = good or right
    return Through(
        **{
            "map": "negative",
            "updates": 10,
            "open": 0,
            "good": share_by_base(own),
            "right": share_by_base(right),
            "verdicts": {"swapped": 12},
            "by_base": own,
        }
        | given
    )


def mended(groups: list[list[bool]], method: str = "auto") -> Mended:
    return Mended(method, share_by_base(groups), groups, {"negative": share_by_base(groups)}, 0, 100)


def world(*maps: Through, cures: tuple[Mended, ...] = (), title: str = "MiniGrid-A") -> OneWorld:
    return OneWorld(title, "all 8 moves", 6, 10, (0.9, 0.8, 1.0), list(maps), list(cures), ["crar study x"], 3, None)


@pytest.mark.parametrize(("right", "found"), [(NONE, "trap"), (ALL, "none"), (HALF, "open"), (NONE[:5], "open"), (ALL[:5], "open")])
def test_a_trap_is_one_by_the_whole_interval(right: list[list[bool]], found: str) -> None:
    assert standing(through(right)) == found
    assert traps(world(through(right))) == found
    assert traps(world(through(ALL), through(right))) == found
    assert traps(world(through(NONE), through(right))) == "trap"


def test_what_does_as_well_in_another_embedding_is_not_trapped() -> None:
    assert standing(through(NONE, HALF)) == standing(through(NONE, ALL)) == "open"
    assert standing(through(NONE, [*NONE[:5], [True, True]])) == "trap"
    assert standing(through(ALL, NONE)) == "none"  # right, and not yet trained to the end


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ([[True]] * 40, "shown"),
        (ALL, "reached"),
        ([*ALL[:5], [True, False]], "reached"),
        ([*ALL[:4], [True, False], [False, True]], "missed"),
        ([], ""),
    ],
)
def test_the_aim_is_of_a_share_and_of_its_interval(groups: list[list[bool]], found: str) -> None:
    assert aimed(share_by_base(groups)) == found


def test_worlds_are_pooled_by_their_bases() -> None:
    worlds = [world(cures=(mended(ALL), mended(NONE, "annealed"))), world(cures=(mended(NONE),))]
    assert (pooled(worlds, "auto").count, pooled(worlds, "auto").of) == (12, 24)
    assert pooled(worlds, "annealed").of == 12


@pytest.mark.usefixtures("as_published")
def test_the_page_says_what_the_records_say(tmp_path: Path) -> None:
    def page(*worlds: OneWorld) -> str:
        write_page(Worlds("python -m x", list(worlds)), tmp_path)
        return (tmp_path / "report.md").read_text()

    text = page(world(through(NONE), cures=(mended(ALL),)), world(through(ALL), title="CartPole-v1"))
    assert "The trap exists in MiniGrid-A (3 numbers); there is none in CartPole-v1 (3 numbers)." in text
    assert (
        "reached by the share, but not by the whole interval. `auto` restored 12 of 12 (54 % to 100 %, by base) in MiniGrid-A (3 numbers).**"
        in text
    )
    assert "| MiniGrid-A (3 numbers) | negative | 10 | yes | 0 of 12 | 0 % to 46 % | 0 of 12 | 0 % to 46 % | 12 swapped | 0 |" in text
    assert "| CartPole-v1 (3 numbers) | negative | 10 | none | 12 of 12 |" in text
    assert "| MiniGrid-A (3 numbers) | auto | 12 | 12 | 12 of 12 | 54 % to 100 % | negative 12 of 12 | - | 0 | 100 |" in text
    text = page(world(through(HALF, open=3), cures=(mended(NONE),), title="CartPole-v1"))
    assert "the median base predicts" not in text
    assert "It is undecided in CartPole-v1 (3 numbers). Cures fall short in CartPole-v1 (3 numbers)." in text
    assert "blind: not asked." in text  # that is of MiniGrid worlds
    assert (
        "| CartPole-v1 (3 numbers) | negative | 10 | undecided | 6 of 12 | 0 % to 100 % | 6 of 12 | 0 % to 100 % | 12 swapped | 3 |" in text
    )
    text = page(world(through(NONE), cures=(replace(mended(ALL), failed=20),)))
    assert "| auto | 20 | 12 | 12 of 12 |" in text
    text = page(world(through(NONE), cures=(replace(mended(ALL), right=share_by_base(HALF)),)))
    assert "| negative 12 of 12 | 6 of 12 | 0 | 100 |" in text


def test_bases_that_are_no_masters_of_their_world_are_named(tmp_path: Path) -> None:
    able, weak = world(through(NONE)), replace(world(through(NONE), title="Lander"), able=(0.4, 0.3, 0.95))
    write_page(Worlds("x", [able, weak]), tmp_path)
    assert "In 1 world of 2 the median base predicts less than 90 % of the transitions right" in (tmp_path / "report.md").read_text()
    write_page(Worlds("x", [able]), tmp_path)
    assert "the median base" not in (tmp_path / "report.md").read_text()


def a_study(folder: Path, *, reached: tuple[float | str, ...] = (0.5, 0.75), **about: Any) -> Path:
    own = {"maze": "world", "world": "Empty-v0, 5 abstract numbers, 0123abcd", "judged_on": "all 8 moves", "scored": 0, **about}
    own |= {"abstract_dim": 5, "last_navigation_success": ""}
    rows: list[Row] = [row(f"b{b}", last_digest=f"d{b}", **own | {"last_navigation_success": reached[b]}) for b in range(2)]
    for b in range(2):
        for k, (seen, outcome) in enumerate((("negative", "swapped"), ("negative", "symmetric"), ("mirror", "matched"))):
            rows.append(transfer(k, f"b{b}", good=outcome != "swapped", observation_map=seen, outcome=outcome, cell=f"t{b}{k}", **own))
    rows.append(row("late", **own | {"variant": "freeze", "base": "b1", "status": "open", "success": ""}))
    write_rows(folder / "table.csv", rows)
    (folder / "results.json").write_text(json.dumps({"command": "crar study s.toml"}))
    return folder


def cured(folder: Path, *, base: str = "d0", restored: bool = True) -> Path:
    folder.mkdir()
    table = json.loads((Path(__file__).parents[2] / "reports/published/recipe_cures/results.json").read_text())
    one: dict[str, Any] = table["rows"][0]
    one |= {"base_digest": base, "method": "auto", "cured": True, "restored": restored}
    one |= {"failed": one["failed"] | {"map": "negative"}, "budget": one["budget"] | {"updates": 5, "level_updates": 2}}
    table["table"] = [table["table"][0] | {"method": "auto", "valley": {"count": 1, "of": 2, "share": 0.5, "low": 0.0, "high": 1.0}}]
    table |= {"command": "crar cure --from a --from b --from c --out x", "rows": [one, one | {"restored": False}]}
    (folder / "results.json").write_text(json.dumps(table))
    return folder


@pytest.mark.usefixtures("as_published")
def test_counts_are_those_of_the_tables(tmp_path: Path) -> None:
    found = one_world(a_study(tmp_path / "study"), cured(tmp_path / "cures"))
    negative, mirror = found.through
    assert (found.title, found.numbers, found.reached, found.name) == ("Empty-v0", 5, 0.625, "Empty-v0 (5 numbers)")
    even = one_world(a_study(tmp_path / "even", even_moves=1), None)
    assert even.name == "Empty-v0 (5 numbers, even moves)"
    assert one_world(a_study(tmp_path / "sampled", reached=("", "")), None).reached is None
    assert (negative.good.count, negative.right.count, negative.right.of, negative.open) == (2, 2, 4, 1)
    assert negative.verdicts == {"symmetric": 2, "swapped": 2}
    assert (mirror.right.count, mirror.right.of) == (2, 2)
    (auto,) = found.mended
    assert (auto.restored.count, auto.restored.of, auto.wrong, auto.updates, auto.failed) == (1, 2, 1, 7, 2)
    assert auto.right == Share(1, 2, 0.5, 0.0, 1.0)
    assert found.made == ["crar study s.toml", "crar cure --from a ... --from c --out x"]
    write_page(Worlds("", [one_world(tmp_path / "study", None)]), tmp_path / "page")
    assert "Empty-v0" in (tmp_path / "page" / "report.md").read_text()


def test_what_does_not_belong_together_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of a base that the study does not have"):
        one_world(a_study(tmp_path / "study"), cured(tmp_path / "cures", base="other"))
    with pytest.raises(UserError, match="a study of 0 worlds"):
        one_world(a_study(tmp_path / "maze", world=""), None)
