"""What each page says first: at most three plain sentences without a number, made from the figures that stand below them.

A function per page takes what the page has measured or decided. Every figure that can come out otherwise can change the sentences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from crar_model.models.merit import FAILED, OPEN, SUCCESSFUL, Outcome
from crar_model.tasks.worlds import NAME as WORLD
from crar_reports.claims.record import EXCEPTIONS, FAILS, HOLDS, MIXED, UNDECIDED

MINIMUM = "minimum"
YES, NO = "yes", "no"
OWN = {WORLD: "worlds of one's own"}
FEW = 6
"""Names that a sentence lists."""
Counts = Mapping[str, tuple[int, int]]
"""Name -> (how many, of how many)."""
OUTCOMES = {SUCCESSFUL: "This transfer succeeded", FAILED: "This transfer failed", OPEN: "Whether this transfer failed is open"}
EMBEDDINGS: dict[str, str] = {
    "matched": "its embedding is that of its base",
    "symmetric": "its embedding is that of its base up to a symmetry of the world",
    "swapped": "its embedding is a mirror image of its base's, or has axes exchanged",
    "neither": "its embedding is neither that of its base nor a mirror image of it",
}
SAID: dict[str, dict[str, str]] = {
    "S6": {
        HOLDS: "a steep barrier stands in the way",
        EXCEPTIONS: "a steep barrier stands in the way, with exceptions",
        FAILS: "no steep barrier stands in the way",
        UNDECIDED: "whether a steep barrier stands in the way is undecided",
        MIXED: "whether a steep barrier stands in the way differs",
    },
    "S7": {
        HOLDS: "with frozen dynamics the encoder is in a local minimum",
        EXCEPTIONS: "with frozen dynamics the encoder is in a local minimum whose embedding matches its base's",
        FAILS: "with frozen dynamics the encoder is in no failed minimum",
        UNDECIDED: "whether the encoder is in a local minimum is undecided",
        MIXED: "whether the encoder is in a local minimum differs",
    },
    "S8": {
        HOLDS: "training the dynamics too makes the losses as low as the reference's",
        EXCEPTIONS: "training the dynamics too makes some losses as low as the reference's",
        FAILS: "training the dynamics too does not make the losses as low as the reference's",
        UNDECIDED: "whether training the dynamics too makes the losses as low as the reference's is undecided",
        MIXED: "whether training the dynamics too makes the losses as low as the reference's differs",
    },
    "S9": {
        HOLDS: "in the trained model changed dynamics change the encoder's landscape",
        EXCEPTIONS: "in the trained model changed dynamics change the encoder's landscape, but for symmetries",
        FAILS: "in the trained model changed dynamics do not always change the encoder's landscape",
        UNDECIDED: "whether changed dynamics change the encoder's landscape in the trained model is undecided",
    },
}
"""Claim -> verdict -> what it comes to."""
LOWER: dict[str, str] = {
    HOLDS: "training the dynamics too lowers its loss clearly",
    FAILS: "training the dynamics too does not lower its loss clearly",
    UNDECIDED: "whether training the dynamics too lowers its loss clearly is undecided",
}
"""S8 of a model without a base."""


def landscape(outcome: Outcome, embedding: str, verdicts: Mapping[str, str]) -> str:
    """Of `crar landscape`.

    Args:
        outcome: of the transfer.
        embedding: its verdict, of `crar_model.agent.symmetry`.
        verdicts: of claims S6 to S8; one that is missing is undecided.
    """
    return _text(f"{OUTCOMES[outcome]}; {EMBEDDINGS[embedding]}", *_trapped(verdicts))


def alone(verdicts: Mapping[str, str]) -> str:
    """Of `crar landscape` of a model without a base; `verdicts` of claims S7 and S8."""
    return _text("this model names no base, so it is compared with itself", SAID["S7"][verdicts["S7"]], LOWER[verdicts["S8"]])


def claims(failed: int, transfers: int, verdicts: Mapping[str, str]) -> str:
    """Of `crar claims`; `verdicts` over the failed transfers, empty where none failed."""
    first = f"{amount(failed, transfers)} of the transfers failed by what they do"
    if not failed:
        return _text(first, "the claims on failed transfers were not put to a test")
    trap, free = _trapped(verdicts)
    return _text(first, f"of those: {trap}", free)


def cure(*, already: bool, by: str | None, restored: bool | None, loose: bool, as_base: bool = False) -> str:
    """Of `crar cure`.

    Args:
        already: whether nothing had to be tried.
        by: the method that cured it; None for none.
        restored: whether its base calls the model that is left as good as itself; None where no base was asked.
        loose: whether losses were held against fixed limits, for want of the level that the dynamics allow.
        as_base: whether only its base's share of mispredictions was known.
    """
    few, low = "mispredictions of this model are about as few as its base's", "losses of this model are as low as its frozen dynamics allow"
    limits = "within the limits, which are loose where states cannot be listed"
    if already:
        first = f"nothing was cured: the {f'losses of this model are {limits}' if loose else few if as_base else low}"
    elif by is not None:
        own = f"this transfer got an encoder by `{by}` that is {limits}"
        good = "mispredicts about as little as its base" if as_base else "its frozen dynamics can use"
        first = own if loose else f"this transfer is cured: `{by}` gave it an encoder that {good}"
    else:
        first = "this transfer is not cured: no candidate is an encoder that its frozen dynamics can use"
    whom = "the model" if already else "the chosen encoder" if by is not None else "the best candidate"
    asked = "no base was asked" if restored is None else f"compared with its base, {whom} is {'' if restored else 'not '}as good"
    return _text(first, asked)


def cures(restored: Counts, wrong: int) -> str:
    """Of `crar cure` of several transfers.

    Args:
        restored: method -> (restored, failed transfers).
        wrong: how often a method called a transfer cured that its base does not confirm.
    """
    if not restored:
        return _text("none of these transfers failed, so there was nothing to cure")
    confirmed = "their bases confirm every cure" if not wrong else "their bases do not confirm every cure"
    return _text(f"the failed transfers were restored: {_each(restored)}", f"methods choose by losses alone; {confirmed}")


def escape(left: int, matched: int, diverged: int, members: int, *, certificate: str) -> str:
    """Of `crar escape`: members that left, that left for the base's embedding, that diverged, and all."""
    said = [f"noise carried {amount(left, members)} of the members out of the minimum of this transfer"]
    if left:
        said.append(f"{amount(matched, left)} of those that left came to the base's embedding")
    open_ends = ["the point is no certified minimum"] * (certificate != MINIMUM) + ["some members diverged"] * bool(diverged)
    return _text(*said, *(["; ".join(open_ends)] if open_ends else []))


def escapes(left: int, matched: int, members: int, minima: int, *, together: bool | None) -> str:
    """Of `crar escape` of several transfers.

    Args:
        left, matched, members: over all certified minima.
        minima: how many those are.
        together: whether the look of a minimum goes with the share that left; None where that could not be tested.
    """
    if not minima:
        return _text("no point is a certified minimum, so there was nothing to leave")
    said = f"noise carried {amount(left, members)} of the members out of these minima"
    if left:
        said += f"; {amount(matched, left)} of those that left came to the base's embedding"
    looks = {
        True: "the look of a minimum goes with how many leave it", False: "nothing in the look of a minimum goes with how many leave it",
        None: "whether the look of a minimum goes with how many leave it cannot be tested on so few",
    }  # fmt: skip
    return _text(said, looks[together])


def maps(answers: Sequence[str], everywhere: Sequence[str]) -> str:
    """Of `crar maps`.

    Args:
        answers: whether failure needs the negative, `YES`, `NO` or `UNDECIDED`, of every kind of `freeze` transfer.
        everywhere: variants and cures that work through every map they were tried with.
    """
    words = {YES: "of the maps tried, failure needs the negative", NO: "failure does not need the negative"}
    undecided, kinds = "whether failure needs the negative", set(answers)
    first = f"{undecided} differs between kinds of transfers" if kinds else f"{undecided} was not asked"
    if len(kinds) == 1:
        first = words.get(kinds.pop(), f"{undecided} is undecided")
    works = ", ".join([f"`{name}`" for name in everywhere[:FEW]] + ["and others"] * (len(everywhere) > FEW))
    return _text(
        first, f"these work through every map that they were tried with: {works}" if works else "nothing works through every map tried"
    )


def worlds(traps: Mapping[str, str], aims: Mapping[str, str]) -> str:
    """Of several worlds.

    Args:
        traps: world -> whether the trap exists there, "trap", "none" or "open".
        aims: world -> whether `auto` restored as many failed transfers as asked, "shown", "reached", "missed", or "" where none was tried.
    """
    words = {"trap": "the trap exists in", "none": "there is none in", "open": "it is undecided in"}
    first = [f"{words[kind]} {', '.join(own)}" for kind in words if (own := [name for name, found in traps.items() if found == kind])]
    cured = {
        "shown": "cures restore the failed transfers of {}",
        "reached": "cures restored nearly all failed transfers of {}, but the bases are too few to be sure",
        "missed": "cures fall short in {}",
    }
    second = [cured[kind].format(", ".join(own)) for kind in cured if (own := [name for name, found in aims.items() if found == kind])]
    return _text("; ".join(first), "; ".join(second) or "no cure was tried")


def compare(groups: Sequence[tuple[int, int, float, float]]) -> str:
    """Of `crar compare`; (successes, of, bounds of the share) of every group."""
    count, of = sum(group[0] for group in groups), sum(group[1] for group in groups)
    apart = max(low for _, _, low, _ in groups) > min(high for _, _, _, high in groups)
    said = f"{amount(count, of)} of the transfers succeeded"
    if len(groups) == 1:
        return _text(said, "they were all made alike, so there is nothing to compare them with")
    way = "some groups succeed more often than others" if apart else "no group succeeds more often than another"
    return _text(said, f"{way}{', by their whole intervals' if apart else ' by their whole intervals'}")


def predict(*, given: bool, predicts: bool | None) -> str:
    """Of `crar predict`; `given`: whether transfers were; `predicts`: whether a predictor beats the constant, None where none could be scored."""
    if predicts is None:
        why = "too little is known of their outcomes" if given else "no transfers were given"
        return _text(f"whether a base predicts its transfers is open: {why}")
    return _text(
        "what is known of a base before a transfer predicts whether its transfers succeed" if predicts
        else "nothing that is known of a base before a transfer predicts success better than the mean of other bases does"
    )  # fmt: skip


def report(matched: Counts, *, near: bool, cured: bool | None, symmetric: bool = False) -> str:
    """Of `crar report`: variant -> (transfers with their base's embedding, all), some up to a symmetry of the world where `symmetric`; whether the median transition term of the transfers is `near` that of the bases;
    whether a cure got the failed transfer that is shown out, None where none was tried."""
    losses = "is near that of the bases" if near else "is not near that of the bases"
    said = [
        f"transfers have their base's embedding{' up to a symmetry of the world' * symmetric}: {_each(matched)}",
        f"the transition loss of the transfers {losses}",
    ]
    if cured is not None:
        said.append(f"the failed transfer shown here was {'cured' if cured else 'not cured'} by `crar cure`")
    return _text(*said)


def study(succeeded: int, done: int, verdicts: Mapping[str, Sequence[str]], *, unfinished: bool) -> str:
    """Of `crar study`: transfers of which success can be said; claim -> its verdicts, one for every maze and recipe; whether models are not done."""
    first = f"{amount(succeeded, done)} of the transfers succeeded" if done else "no transfer is done"
    words = [f"{name} {' or '.join(dict.fromkeys(each))}" for name, each in verdicts.items()]
    said = [first, f"the claims come out so: {', '.join(words)}" if words else "no claim is decided"]
    return _text(*said, *(["some models are not done"] if unfinished else []))


def theorem(*, proven: bool, exceptions: bool, verdict: str) -> str:
    """Of `crar theorem`: whether the linear case is proven, whether exceptions leave no difference, and the verdict on S9 in the trained model."""
    linear = "for a linear model it is proven that changed dynamics change the encoder's landscape" + ", with exceptions" * exceptions
    return _text(linear if proven else "the theorem is not proven for a linear model", SAID["S9"][verdict])


def trajectory(losses: Sequence[float], held: float) -> str:
    """Of `crar trajectory`.

    Args:
        losses: total loss of every snapshot, in order.
        held: share of the squared distances that the plane holds, 0 to 1.
    """
    change = losses[-1] - losses[0]
    if not math.isfinite(change):
        first = "the loss at one end of this training is not finite"
    else:
        first = f"the loss {'fell' if change < 0 else 'rose' if change > 0 else 'did not change'} from the first snapshot to the last"
    lower = any(loss < losses[-1] for loss in losses)
    plane = "holds most of the way" if 2 * held > 1 else "holds less than half of the way, so read it with care"
    return _text(first, "a snapshot before the last was lower" if lower else "no snapshot was lower than the last", f"the plane {plane}")


def verdicts(hold: Counts, agree: tuple[int, int], *, missing: bool) -> str:
    """Of `crar verdicts`.

    Args:
        hold: maze -> (claims that hold, with exceptions or without, claims measured).
        agree: (verdicts that the released data share, verdicts that they have an answer to).
        missing: whether claims were not measured.
    """
    mazes = [
        f"in {OWN.get(name, f'the {name} maze')} {amount(count, of)} of the measured claims hold"
        for name, (count, of) in hold.items()
        if of
    ]
    said = ["; ".join(mazes) or "no claim was measured"]
    if agree[1]:
        said.append(f"the released data give {amount(*agree)} of the verdicts that they have an answer to")
    return _text(*said, *(["some claims were not measured here"] if missing and mazes else []))


def amount(count: int, of: int) -> str:
    """ "none", "some", "most" (more than half) or "all"."""
    return "none" if not count else "all" if count == of else "most" if 2 * count > of else "some"


def _each(counts: Counts) -> str:
    """Names by their amount."""
    groups: dict[str, list[str]] = {}
    for name, pair in counts.items():
        groups.setdefault(amount(*pair), []).append(f"`{name}`")
    return "; ".join(f"{word} by {', '.join(names)}" for word, names in groups.items())


def _trapped(verdicts: Mapping[str, str]) -> tuple[str, str]:
    """Of claims S6 to S8, one that is missing undecided: where the encoder is, and whether training the dynamics leads out."""
    trap, way, free = (SAID[name][verdicts.get(name, UNDECIDED)] for name in ("S7", "S6", "S8"))
    return f"{trap}; {way}", free


def _text(*sentences: str) -> str:
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences)
