"""Sections of the page of `crar landscape` that stand only where they were measured: the way out, the minimum, and both on samples."""

from __future__ import annotations

from crar_model.core.words import plural
from crar_model.tasks import Sampling
from crar_reports.measure.dissection import Dissection
from crar_reports.measure.minimum import AtRest, Minimum
from crar_reports.measure.options import LandscapeOptions
from crar_reports.measure.paths import Passage
from crar_reports.measure.sample_minimum import Budget
from crar_reports.measure.sample_paths import Sampled, SamplePaths
from crar_reports.press.markdown import measured, number, share, table
from crar_reports.press.nouns import parts_words, size_words
from landscape_tools import NOT_CONVERGED, Lifted

TITLES = {"embedding": "embedding space", "weight": "weight space", "aligned": "weight space, nearest copy"}
"""Spaces of the lines, in words."""


def way_out(paths: Passage, options: LandscapeOptions, *, certified: bool) -> str:
    """The paths to the reference (S6, S8); `certified`: whether they begin where a certificate ended."""
    rows = []
    for title, p in (
        ("dynamics frozen", paths.frozen), ("dynamics frozen, Bezier curve", paths.curve), ("dynamics free", paths.free),
        ("dynamics free, from the released model by a half turn", paths.valleys),
    ):  # fmt: skip
        if p is not None:
            force = number(p.force) + ("" if p.converged or p is paths.curve else " (not converged)")
            start, end = (measured(float(p.heights[at])) for at in (0, -1))
            rows.append((title, measured(p.barrier), f"{p.where:.3f}", start, end, force, f"{p.length:.1f}"))
    searches = ", ".join(f"{name} {measured(search.barrier)}" for name, search in paths.searches.items())
    straight = ", ".join(f"{measured(climb)} ({TITLES[name]})" for name, climb in paths.straight.items())
    return (
        f"## The way out (S6, S8)\n\nPaths to the reference by the nudged elastic band ({options.space} space; forces from the loss with the maxima in `ball` smoothed, barriers "
        "read off the exact loss on the straight pieces between the images, so each is a bound from above). They begin where the "
        f"{'certificate below ended' if certified else 'failed model stands'}.\n\n"
        f"{table(['path', 'barrier', 'at share of the way', 'from', 'to', 'largest force', 'length'], rows)}\n\n"
        f"![Total loss along the paths](paths.{options.image})\n\n"
        "*Figure: total loss along the paths to the base's valley, left all of the way, right the start of the frozen path with its highest point.*\n\n"
        f"The frozen path is the lowest of {len(paths.searches)} searches, by first guess: {searches}. Straight lines from the same start climb {straight}.\n\n"
        f"{_lifted(*paths.lifted) if paths.lifted else ''}"
    )


def _lifted(lifted: Lifted, barrier: float) -> str:
    way = "exists in the weights too" if lifted.reached == 1 else "was followed in the weights part of the way"
    return (
        f"The frozen path {way}: following its embeddings with the shortest steps of the encoder's weights meets {100 * lifted.reached:.0f} % of them to "
        f"{lifted.missed:.0e}, over a length of {lifted.length:.1f}; the smallest singular value of its Jacobian on the way is {number(lifted.smallest_singular)}. "
        f"The total loss sampled on that way through the weights has a barrier of {measured(barrier)}.\n\n"
    )


def minimum(found: Dissection, at: Minimum) -> str:
    """What the failed encoder converges to (S7), from its certificate."""
    c = at.figures()
    totals = f"{number(c.start)} at the failed model, {number(c.loss)} at the stationary point, {number(found.optimum.terms['total'])} at the reference"
    kinks = ", then the kinks of `ball` solved for exactly" if c.smoothing == 0 else f" to the last by {number(c.smoothing)}"
    match, signature, spectrum = at.still, c.signature, c.spectrum
    multiplier = f", smallest multiplier {number(c.multiplier_slack)}" if c.kinks else ""
    rows = [
        ("verdict", f"**{c.verdict}**: {c.reason}"),
        ("total loss", totals),
        (
            "embedding there",
            f"{match.verdict}, {match.residual_edges:.2f} edge lengths off its best axes, {match.identity_edges:.2f} off the identity",
        ),
        (
            "norm of the smallest subgradient",
            f"{c.subgradient_norm:.1e} (the one-sided gradient that autograd gives: {c.one_sided_gradient_norm:.1e})",
        ),
        ("states held on a kink of `ball`", f"{c.kinks}{multiplier}"),
    ]
    if signature:
        counts = f"{signature.positive} positive, {signature.negative} negative, {signature.flat} flat"
        singular = number(signature.smallest_singular)
        rows += [
            ("curvature the embedding carries", f"{counts}; from {number(signature.lowest)} to {number(signature.highest)}"),
            ("directions that leave the embedding as it is", f"{signature.unseen} (smallest singular value of its Jacobian {singular})"),
        ]
    if spectrum:
        both = ((spectrum.lowest, spectrum.lowest_residual), (spectrum.highest, spectrum.highest_residual))
        ends = [f"{number(end)} (residual {residual:.0e})" for end, residual in both]
        rows.append(("extreme eigenvalues in the weights, matrix-free", " and ".join(ends)))
    if c.escape_loss is not None:
        rows.append(("descent along the most negative direction", f"ends at a total loss of {number(c.escape_loss)}"))
    said = rested(c, f" on all transitions and pairs (maxima smoothed{kinks})", whose="failed ", begun=" from the failed model")
    return f"## Is the failed encoder in a local minimum? (claim S7)\n\n{said}\n\n{table(['', ''], rows)}\n\n"


def rested(c: AtRest, loss: str = "", *, whose: str = "", begun: str = "") -> str:
    """What was moved, whether it came to rest, and what was certified there; `loss`: of what the total loss is, `whose`, `begun`: of which model."""
    freely = "its numbers, which the encoder can set freely wherever its Jacobian has full rank"
    moved = f"{whose}embedding ({freely}) was moved" if (c.moved or c.space) == "embedding" else f"encoder alone was moved{begun}"
    end = "towards a stationary point, which it did not reach," if c.verdict == NOT_CONVERGED else "to a stationary point"
    point = f"the embedding there ({freely})" if c.moved not in ("", c.space) else "that point"
    return f"The {moved} {end} of the total loss{loss}, and {point} was certified with all dynamics frozen."


def sample(sampled: Sampled, sampling: Sampling) -> str:
    """Where the encoder's descent on a sample ends (S7), what an independent sample says, and the way out in the weights (S6, S8)."""
    failed, reference, budget = sampled.failed, sampled.reference, sampled.budget
    own, ref = failed.descended, reference.descended
    here, there = sampled.sizes["sample"], sampled.sizes["independent"]
    done = "had converged" if own.gradient <= budget.stationary or failed.left <= budget.share else "had not converged within that budget"
    words = [f"**{word}**: {reason}" for word, reason in (failed.verdict, failed.both)]
    rows: list[tuple[object, ...]] = [
        ("verdict", words[0], f"for both {words[1]}"),
        ("total loss, failed model", own.start, failed.other_start),
        (f"total loss where its descent ended, {own.iterations} steps", own.loss, failed.other_loss),
        ("norm of the gradient there", f"{own.gradient:.1e}", f"{failed.other_gradient:.1e}"),
    ]
    if ends := failed.ends:
        rows += [
            ("lowest curvature found", f"{number(ends.lowest)} (residual {ends.lowest_residual:.0e})", failed.other_lowest),
            ("highest curvature found", f"{number(ends.highest)} (residual {ends.highest_residual:.0e})", failed.other_highest),
        ]
    rows += [
        ("total loss of the base's copy", ref.start, reference.other_start),
        (f"the same, converged as far, {ref.iterations} steps", ref.loss, reference.other_loss),
        ("norm of the gradient there", f"{ref.gradient:.1e}", f"{reference.other_gradient:.1e}"),
    ]
    fits = (
        "The copy's descent fits its sample alone: on the independent one it ends higher than it began."
        if reference.other_loss > reference.other_start
        else "The copy's descent lowers the independent sample too."
    )
    return (
        f"## Is the failed encoder in a local minimum of a sample? (claim S7)\n\nThe encoder alone was moved from the failed model, the dynamics frozen, by at most "
        f"{budget.iterations} steps of L-BFGS on {size_words(here)}, and so was the base's copy. An "
        f"independent sample of {plural(there['transitions'], 'transition')} of {parts_words(there, 'other ')} ({there['terminal']:,} terminal) was asked at the same points, along the same "
        f"directions. The descent {done}, by a norm of the gradient of {budget.stationary:.0e} or by an expected further gain of {share(budget.share)} of its loss above "
        f"the reference's, at which it stops; expected is twice what the second half of its steps gained, here {share(failed.left)}. In {sampling.dtype}; curvatures by "
        f"{budget.steps} steps of Lanczos' method on central differences of gradients, {budget.step} apart, which average over kinks (of `ball` and of max-pooling) nearer "
        f"than that.\n\n{table(['', 'on the sample', 'on the independent sample'], rows)}\n\n"
        f"Where the descent ended the embedding is {failed.match.verdict}, {failed.match.identity_edges:.2f} {sampling.unit} off the base's. {fits}\n\n"
        f"{_sample_way_out(sampled.paths, budget)}"
    )


def _sample_way_out(paths: SamplePaths, budget: Budget) -> str:
    rows: list[tuple[object, ...]] = [("straight, dynamics frozen", paths.straight, paths.other["straight"], "-")]
    rows += [
        (f"best found, dynamics {name}", measured(path.barrier), measured(paths.other[name]), f"{path.where:.2f}")
        for name, path in (("frozen", paths.frozen), ("free", paths.free))
    ]
    return (
        f"## The way out, in the weights (S6, S8)\n\nFrom that point to the converged copy, hidden units matched: a Bezier curve of {budget.bends} steps, then an elastic band of "
        f"{budget.images} images and {budget.moves} iterations; the lower of the two. Short searches bound a barrier from above and prove none. The independent sample is "
        f"asked on the same way.\n\n{table(['way', 'climb on the sample', 'on the independent sample', 'at share of the way'], rows)}\n\n"
    )
