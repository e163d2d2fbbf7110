"""The words and tables of the page of `crar landscape`, from what was measured on a pair of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from crar_model.agent.symmetry import axes_words
from crar_model.core.params import DYNAMICS, select
from crar_model.mazes.maps import NEGATIVE_MAP
from crar_model.models.merit import SUCCESSFUL
from crar_model.samples import as_given
from crar_model.tasks.metrics import Score
from crar_reports.claims.evidence import pair_of
from crar_reports.claims.losses import does
from crar_reports.claims.record import Decision
from crar_reports.measure.dissection import Dissection
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.second_opinion import SecondOpinion
from crar_reports.pages import plain_words
from crar_reports.pages.landscape.sections import TITLES, minimum, sample, way_out
from crar_reports.press.markdown import measured, number, table
from crar_reports.press.nouns import pairs_words, side_of, size_words
from landscape_tools import barrier

Plain = Mapping[str, Any]
PATH_WORDS = ("barrier", "nudged elastic band", "certificate", "subgradient, kink", "rms")
"""What the glossary of a page with paths explains beside the others."""


def landscape_view(
    found: Dissection, plain: Plain, decisions: Sequence[Decision], opinion: SecondOpinion | None, options: LandscapeOptions, embedding: str
) -> dict[str, object]:
    """What the template places.

    Args:
        found: what was measured. plain: the same from `Dissection.plain`.
        decisions: the claims on it.
        opinion: of `loss-landscapes`; None where it was not asked.
        options: as settled for the task.
        embedding: the file of the figure of embeddings.
    """
    pair, sampling = found.subject, found.subject.task.sampling
    shown = tuple(str(name) for name in found.surface.data_vars)
    kept = all(torch.equal(pair.failed[name], value) for name, value in select(pair.optimum, DYNAMICS).items())
    came_to = does(pair_of(dict(plain), complete=sampling.complete))
    return {
        "title": "What lies between this transfer and its base?" if came_to == SUCCESSFUL else "Why did this transfer fail?",
        "plainly": plain_words.landscape(came_to, found.match.verdict, {one.id: one.verdict for one in decisions}),
        "models": _models(found, plain, shown),
        "conditions": _conditions(found),
        "embedding": _embedding(found, embedding),
        "line_dynamics": ", which are the base's" if kept else "",
        "points": str(options.points),
        "changed": "" if kept else "**The failed model has changed its dynamics**, so t = 1 is the base's encoder under dynamics that are not its own, and need be no minimum.\n\n",
        "lines": "\n\n".join(_line(space, line, shown) for space, line in found.lines.items()),
        "surface": _surface(found, options, kept=kept, transition=not sampling.complete and "transition" in shown),
        "image": options.image,
        "released": _released(found),
        "way_out": way_out(found.passage, options, certified=found.minimum is not None) if found.passage else "",
        "minimum": minimum(found, found.minimum) if found.minimum else "",
        "sample": sample(found.sampled, sampling) if found.sampled else "",
        "theorem": _theorem(found),
        "claims": table(["", "claim", "measured here", "verdict", "check"], [(d.id, d.claim, d.figure, f"**{d.verdict}**", d.check) for d in decisions]),
        "scope": _scope(found, plain, opinion, options),
        "files": ", `paths.nc`" if plain.get("paths") else "",
        "more_words": PATH_WORDS if plain.get("paths") else (),
    }  # fmt: skip


def _models(found: Dissection, plain: Plain, shown: Sequence[str]) -> str:
    """The two models side by side."""
    pair, certificate = found.subject, plain.get("certificate")
    one, other = pair.failed_file, pair.optimum_file
    seen = pair.task.observation_map.name
    undone = "negated" if seen == "negative" else f"undoing the map {seen}"
    closed = f", first layer {undone}" if other.inverse != pair.inverse else ""
    below = f"the column below; as it is {number(found.copy.terms['total'])}" if found.reference or found.sampled else "no"
    rows: list[tuple[object, ...]] = [
        ("checkpoint", f"`{as_given(pair.failed_path)}`", f"`{as_given(pair.base_path)}`{closed}"),
        ("SHA-256", one.digest, other.digest),
        ("converged as the failed encoder is, dynamics frozen", certificate["loss"] if certificate else "-", below),
        ("variant, updates", *(f"{model.info.get('variant', '?')}, {model.updates}" for model in (one, other))),
    ]
    if one.recipe or other.recipe:  # an imported network does not say
        rows.append(("trained by", one.recipe or "-", other.recipe or "-"))
    for name, value in found.failed.metrics.items():
        both = (value, found.optimum.metrics[name])
        if isinstance(value, Score):
            scores = [each for each in both if isinstance(each, Score)]
            rows.append(
                (f"score, {value.samples} episodes", *(f"**{each.mean:.2f}** ({each.low:.2f} to {each.high:.2f})" for each in scores))
            )
            rows.append(("all three keys found", *("-" if each.solved is None else f"{100 * each.solved:.0f} %" for each in scores)))
        else:
            shares = [f"{100 * each:.1f} %" for each in both if not isinstance(each, Score)]
            rows.append((name.replace("_", " ").replace("nearest state", "nearest-state"), *shares))
    rows += [(term, found.failed.terms[term], found.optimum.terms[term]) for term in shown]
    return table(["", "failed model", found.reference_name], rows)


def _conditions(found: Dissection) -> str:
    """In which maze, on what, and against what."""
    pair = found.subject
    task, sampling, how = pair.task, pair.task.sampling, found.how
    pairs = pairs_words(task) if sampling.complete else ""
    side, where = side_of(task, inverse=pair.inverse).split()
    said = [f"Both models are evaluated in the **{side}** {where} ({task.title}), on {found.table}{pairs}, in {sampling.dtype}."]
    if not sampling.complete:
        said.append(
            f"Lines and surface, and the figures that speak of them, are of {sampling.what}. No training has seen these transitions; they are the same {'on both sides' if task.known_by_data else 'in both mazes'}. "
            "The bootstrap values of `value` are frozen at the copy's."
        )
    if found.failed.score:
        said.append(
            f"Score: one episode of at most 50 steps in each of {how.episodes} mazes, planning depth {how.depth}, {100 * how.epsilon:.0f} % random actions, the same mazes and "
            "random actions for both; 95 % interval by Student's t."
        )
    if pair.optimum_file.inverse != pair.inverse:
        there = "on the other side" if task.known_by_data else "in the other maze"
        how_copied = (
            "Negating the weights of the encoder's first layer gives e'(-s) = e(s)"
            if task.observation_map == NEGATIVE_MAP
            else "With the map undone in its first layer an encoder gives what it gave there"
        )
        said.append(f"The base was trained {there}. {how_copied} for every observation, so its copy needs no training here.")
    if found.reference:
        name, least = found.lowest
        best = (
            "Nothing found on this page lies below it, so it is called the global optimum."
            if name == "reference"
            else f"It is not the lowest found: the {name} has {number(least)}, the best known."
        )
        said.append(
            "\n\nWhat the failed model is held against, and where ways lead, is the base's copy after its own descent with the dynamics frozen: its total goes from "
            f"{number(found.copy.terms['total'])} to {number(found.optimum.terms['total'])} ({found.reference.certificate.verdict}). {best}"
        )
    return " ".join(said)


def _embedding(found: Dissection, figure: str) -> str:
    pair, match = found.subject, found.match
    caption = (
        f"*Figure: abstract states of every state, the reference's left, the failed encoder's right; numbers: {pair.task.maze.label_title}; arrows: the estimated moves. A "
        "failed encoder whose picture is turned or mirrored against the left one is swapped.*"
        if pair.task.maze
        else "*Figure: the same observations, and what the reference and the failed encoder make of them, channel by channel; equal pictures mean equal abstract states.*"
    )
    return (
        f"The failed embedding is **{match.verdict}**: of the signed permutations of its {pair.agent.channels} channels, {axes_words(match.axes)} maps the base embedding onto it best, "
        f"with a residual of {match.residual_edges:.2f} mean {pair.task.sampling.unit} (identity: {match.identity_edges:.2f}). The mean distance between the two abstract "
        f"states of an observation is {match.distance:.2f}, the mean length of a move {match.mean_move:.2f}.\n\n"
        f"![Embeddings of the reference and the failed encoder]({figure})\n\n{caption}"
    )


def _line(space: str, line: Any, shown: Sequence[str]) -> str:
    rows = []
    for term in shown:
        b = barrier(line, term)
        rows.append((term, measured(b.start), measured(b.end), measured(b.peak), f"{b.where:.2f}", measured(b.climb)))
    return f"### In {TITLES[space]}\n\n{table(['term', 'failed (t=0)', 'reference (t=1)', 'highest', 'at t', 'climb'], rows)}"


def _surface(found: Dissection, options: LandscapeOptions, *, kept: bool, transition: bool) -> str:
    adapted, image = found.adapted, options.image
    how = (
        "fit the failed embedding best: trained on it alone"
        if adapted.how == "descent"
        else f"{adapted.steps} updates of training on its embedding give, the encoder frozen"
    )
    totals, moves = (
        [number(e[name]) for e in (found.failed.terms, adapted.terms, found.optimum.terms)] for name in ("total", "transition")
    )
    second = (
        f"\n\n![Transition loss over encoder and dynamics](surface_transition.{image})\n\n"
        "*Figure: the same for the transition term alone, which the structure terms hide in the total.*"
        if transition
        else ""
    )
    return (
        f"One axis moves the encoder, in {options.space} space, from the failed one to the reference; the other moves the dynamics ({', '.join(options.blocks)}) from the "
        f"failed model's own to those that {how}, they bring the total loss from {totals[0]} to {totals[1]} and the transition term from {moves[0]} to {moves[1]} "
        f"(reference: {totals[2]} and {moves[2]}). To turn and zoom: `surface.html`; to drag a marker, play the paths and watch the agent: `explorer.html`. Both open offline.\n\n"
        f"![Total loss over encoder and dynamics](surface.{image})\n\n"
        "*Figure: total loss, contours and relief of the same values. On the dashed line the encoder moves alone"
        f"{', as in a `freeze` transfer' if kept else ''}; a way out may lead off it.*{second}"
    )


def _released(found: Dissection) -> str:
    released, unit = found.released, found.subject.task.sampling.unit
    moves, steps = ("descends", "L-BFGS iterations") if released.how == "descent" else ("trains", "updates")
    return (
        f"Released, with encoder and dynamics free together, the failed model {moves} to a total loss of **{number(released.terms['total'])}** in {released.steps} {steps} "
        f"(transition {number(released.terms['transition'])}); its embedding is then {released.match.verdict}, {released.match.residual_edges:.2f} {unit} off its best axes and "
        f"{released.match.identity_edges:.2f} off the identity."
    )


def _theorem(found: Dissection) -> str:
    """The theorem in numbers; "" where it was not measured."""
    if not found.shifts:
        return ""
    size, finds = found.shifts.sample, found.finds
    sampled = f", in float64 on {size_words(size)}" if size else ""
    rows = [(s.way, s.distance, s.values, s.gradients) for s in found.shifts.rows]
    said = (
        "## The theorem in numbers (S9)\n\nHow far the encoder's landscape moves, at 17 encoders on the way and around the failed one, when the dynamics move (`crar theorem` has "
        f"the proof){sampled}:\n\n{table(['dynamics', 'moved by', 'change of the loss (rms)', 'change of the gradient, relative'], rows)}\n\n"
    )
    if not finds:
        return said
    what = (
        "encoder's weights finds in the moved landscapes, on the samples of the certificate"
        if finds.sizes
        else "embedding finds in the moved landscapes"
    )
    ends = "; ".join(f"{f.way}: {f.verdict}, {f.match}, total {number(f.loss)}" for f in finds.rows)
    return f"{said}What a descent of the failed {what}: {ends}.\n\n"


def _scope(found: Dissection, plain: Plain, opinion: SecondOpinion | None, options: LandscapeOptions) -> str:
    """What the verdicts are of."""
    if found.subject.task.sampling.complete:
        said = ["Verdicts are of this pair; `crar claims` gathers many."]
    elif plain.get("sampled"):
        said = ["Verdicts are of this pair; a certificate (S7) is of its samples."]
    else:
        said = ["Verdicts are of this pair; no certificate was asked for (S7)."]
    if opinion:
        said.append(
            f"Second opinion: on {opinion.line_points} points of the aligned line and {opinion.plane_points} of the plane encoder x dynamics the `loss-landscapes` package gives "
            f"the same total to {opinion.line:.0e} and {opinion.plane:.0e} (relative; its offsets accounted for)."
        )
    if options.quick:
        said.append("Made with `--quick`: descents, trainings, paths and scores were cut short.")
    return " ".join(said)
