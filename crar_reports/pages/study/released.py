"""What the released data say of the claims that need a study, by the same rules, in full or cut off where other transfers end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from crar_model.models.merit import SUCCESS
from crar_model.tasks import Task
from crar_reports.claims.rates import S13, learning_rates
from crar_reports.claims.record import FAILS, UNDECIDED, Decided
from crar_reports.claims.released_scores import BASES, DELAYED, RATE, VARIANTS, released_runs
from crar_reports.claims.small_losses import LOW_SCORE, S11
from crar_reports.claims.study import RELEARNED, S12, S14, Outcomes, depends, relearned
from crar_reports.claims.study_facts import facts_of
from crar_reports.pages.study.rates import released_rates
from crar_reports.pages.study.rows import USUAL

LONG = (S12, S13, S14)
"""Claims on what transfers come to in the end, which short ones cannot refute."""


def released_answer(name: str, task: Task, updates: Mapping[str, int] | None = None) -> Decided | None:
    """What the released data say of a claim, by the same rules: scores where they were released, else outcomes judged by eye. None where they say nothing.

    Args:
        name: of the claim.
        task: the maze.
        updates: of every variant that is asked of, where to cut off its runs; None for all that was released, to the ends. Runs with a delay are left
            out where others are cut off: shorter ones of ours have a shorter delay.
    """
    if not facts_of(task).released_scores:
        eye: Outcomes = {base: [True] * good + [False] * bad for base, good, bad in facts_of(task).judged_by_eye}
        return depends(eye) if name == "S14" and eye and updates is None else None
    end = None if updates is None else updates.get(USUAL)
    if name == "S11":
        usual = [run for each in released_runs(USUAL, None, RATE) if (run := each.until(end)).final <= SUCCESS]
        low = sum(run.final < LOW_SCORE for run in usual)
        words = f"losses were not released; {low} of {len(usual)} failed runs have a final score below {LOW_SCORE:g}"
        return Decided(S11, UNDECIDED, words, len(usual), len({run.base_model for run in usual}))
    if name == "S12":
        asked_of = [variant for variant in VARIANTS if updates is None or (variant in updates and variant != DELAYED)]
        return relearned({variant: groups for variant in asked_of if (groups := _released(variant, (updates or {}).get(variant)))})
    if name == "S13":
        return learning_rates(released_rates(end))
    return depends(_released(USUAL, end)) if name == "S14" else None


def if_long_enough(decided: Decided, task: Task) -> Decided:
    """A refutation that more training could undo stands only where our transfers are as long as it takes: where the released runs, cut off where ours end, do not yet answer as they do
    in full, ours are no answer either.

    Args:
        decided: of our transfers.
        task: the maze.
    """
    if (
        decided.verdict != FAILS
        or not decided.for_now
        or decided.claim not in LONG
        or USUAL not in decided.updates
        or not facts_of(task).released_scores
    ):
        return decided
    full, cut = released_answer(decided.id, task), released_answer(decided.id, task, decided.updates)
    if full is None or cut is None or full.verdict in (cut.verdict, FAILS):
        return decided
    compared = [decided.updates[name] for name in (USUAL, RELEARNED) if name in decided.updates]
    ends = " to ".join(f"{end:,}" for end in dict.fromkeys((min(compared), max(compared))))
    why = f"undecided: after {ends} updates the released runs answer '{cut.verdict}' and to their ends '{full.verdict}', so ours are too short to refute it"
    return replace(decided, verdict=UNDECIDED, figure=f"{decided.figure}; {why}", scope="")


def _released(variant: str, updates: int | None) -> Outcomes:
    """Base -> outcomes of the released runs of a variant at the usual rate, cut off after some updates."""
    runs = {base: released_runs(variant, base, RATE) for base in BASES}
    return {base: [run.until(updates).final > SUCCESS for run in group] for base, group in runs.items() if group}
