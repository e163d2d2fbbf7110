"""The words of the pages, each explained once at the end of a page that uses it."""

from __future__ import annotations

TERMS = {
    "abstract state": "what the encoder makes of an observation; the *embedding* is the abstract states of all observations",
    "dynamics": "the networks over abstract states: transition, reward, discount and value. A `freeze` transfer leaves them as the base has them",
    "transfer": "a base model's networks trained further where every observation is changed, in the study negated; the variant says what trains",
    "matched, swapped, neither": "a transferred embedding against its base's: the same up to a small residual; a mirror image or exchange of its "
    "axes; neither of the two. *Symmetric* is matched once states are renamed so that every move leads as before: as right under the same dynamics",
    "signed permutation": "an exchange of abstract axes, with or without change of sign",
    "residual": "root mean square distance of two embeddings after the best signed permutation, in mean moves (edges)",
    "edge, mean move": "the mean distance of the abstract states before and after a move: the unit of length of a page",
    "structure terms": "`ball`, `random_pairs` and `consecutive`, the losses that keep the abstract states together and apart",
    "climb": "how far the highest point of a line lies above its failed end",
    "barrier": "the climb along the best known path, so an upper bound of what is needed",
    "nudged elastic band": "a chain of models between two ends, pulled downhill across the chain until it lies along a valley",
    "certificate": "a check at a stationary point: smallest subgradient near 0, and the signs of all curvatures",
    "subgradient, kink": "where `ball`'s maximum switches, the loss has a kink and a set of slopes; the smallest one is 0 at a minimum",
    "adapted": "dynamics trained on the failed embedding alone, the encoder frozen",
    "released": "of a model: unfrozen, so encoder and dynamics train together; of runs, scores and data: what the paper's authors published",
    "reference": "the base's copy, descended as far as the failed model under the same frozen dynamics; losses are compared with its losses",
    "floor, excess loss": "the floor is what no encoder can lower, since moves that change nothing cost `consecutive` something; a model's excess loss is its total above it",
    "valley": "models whose excess loss is at most 1.25 times the reference's",
    "aligned": "hidden units exchanged and negated, which changes no output, so that two encoders lie near each other",
    "bootstrap value": "the target of `value`, computed by a frozen copy of the networks",
    "nearest state accuracy": "share of transitions whose predicted next abstract state is nearest to the right one",
    "outcome accuracy": "share of transitions whose reward and end are predicted right",
    "navigation success": "share of (start, goal) pairs that planning solves",
    "score": "total reward per episode started",
    "joint, sequential": "update rules: one step on the weighted sum of the loss terms, or one step for each term in turn",
    "mean bias": "of a base: mean absolute bias of all its networks",
    "oddness": "of a base: mean |e(s') + e(s)| over mean |e(s') - e(s)|, s' the same state in the other maze; 0 where the embedding changes its sign",
    "start, own, copy": "transition terms known of a base before a transfer: of its networks on the other maze's observations, on its own maze's, and of the best "
    "signed permutation of its embedding but the identity, under its own dynamics",
    "valleys": "of a base: places of the start state, in the space of abstract states, that have the lowest total loss around",
    "Brier score": "mean squared difference of the predicted share and the outcome, 0 to 1, lower is better; *constant* predicts the mean of the other bases, "
    "*logistic* is a logistic regression on all that is known of a base, *threshold* the best cut of one of these figures",
    "ROC area": "share of (success, failure) pairs that a predictor puts in the right order; 0.5 is chance",
    "principal plane": "the plane that holds most of the movement of a training's snapshots (principal components)",
    "rms": "root mean square",
}


def glossary(*names: str) -> str:
    """A section "Terms" for the end of a page, of the words that :func:`glossary_lines` takes."""
    return f"## Terms\n\n{glossary_lines(*names)}"


def glossary_lines(*names: str) -> str:
    """A list item for every word.

    Args:
        names: keys of `TERMS`, in the order in which they are printed.

    Raises:
        KeyError: for a word that is not explained.
    """
    return "\n".join(f"- **{name}**: {TERMS[name]}." for name in names)
