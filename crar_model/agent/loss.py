"""The one loss of the project: named terms as a pure function of (parameters, batch).

The trainer follows its gradient, the landscape samples it, curvature differentiates it twice. All terms work
for one model and for many members at once: a term of parameters with leading axes (*members) has shape
(*members). Formulas: CRAR paper section 2 and the released code; names as in the table of the README.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from crar_model.agent.batch import Batch
from crar_model.agent.networks import Agent
from crar_model.core.params import Params
from crar_model.core.settings import LossSettings

TERMS = ("transition", "reward", "discount", "ball", "random_pairs", "consecutive", "value", "interpret")
FOLLOWED = tuple(term for term in TERMS if term != "interpret")
"""Terms that training follows, in the order of the released code's steps; `interpret` is logged only."""
SHOWN = (*FOLLOWED, "total")
"""What tables and figures have."""
STRUCTURE_TERMS = ("ball", "random_pairs", "consecutive")
"""Terms that look at the embedding alone; `delay-structure` switches them off at first."""
TERM_BLOCKS = {
    "transition": ("encoder", "transition"),
    "reward": ("encoder", "reward"),
    "discount": ("encoder", "discount"),
    "ball": ("encoder",),
    "random_pairs": ("encoder",),
    "consecutive": ("encoder",),
    "value": ("encoder", "value"),
    "interpret": ("encoder", "transition"),
    "pairing": ("encoder",),
}
"""Blocks whose parameters a term depends on."""

Loss = Callable[[Params, Batch], dict[str, Tensor]]


def loss_terms(
    agent: Agent,
    params: Params,
    batch: Batch,
    settings: LossSettings,
    terms: Iterable[str] = TERMS,
    target: Params | None = None,
    embedding: Tensor | None = None,
) -> dict[str, Tensor]:
    """Evaluate loss terms.

    Args:
        agent: gives the networks.
        params: parameters with optional leading member axes.
        batch: what to evaluate on.
        settings: coefficients; the weights are not applied here.
        terms: which terms, of `TERMS` or "pairing" (needs `batch.anchor`).
        target: parameters (encoder and value) that give the bootstrap value when `batch.value_target` is
            None; the model's own by default.
        embedding: (*members, rows, d) abstract states to use in place of the encoder's, for walks in
            embedding space.

    Returns:
        term -> (*members), each the mean over the batch.

    Raises:
        KeyError: for an unknown term.
    """
    if embedding is None:
        embedding = agent.encode(params, batch.observations)  # (*members, rows, d)
    wanted = tuple(terms)
    action = batch.action if batch.onehot is None else batch.onehot
    size = batch.state.shape[-1]
    if "transition" in wanted or "consecutive" in wanted:  # one gather for s and s'
        both = _rows(embedding, torch.cat((batch.state, batch.next_state), dim=-1))
        x, x_next = both[..., :size, :], both[..., size:, :]
    else:
        x = x_next = _rows(embedding, batch.state)  # (*members, B, d)
    values: dict[str, Tensor] = {}
    for term in wanted:
        if term == "transition":
            error = agent.transition(params, x, action) - x_next  # gradients reach e at s and at s'
            values[term] = ((1 - batch.terminated) * error.square().mean(-1)).mean(-1)
        elif term == "reward":
            values[term] = (agent.reward(params, x, action) - batch.reward).square().mean(-1)
        elif term == "discount":
            wanted_discount = (1 - batch.terminated) * settings.discount
            values[term] = (agent.discount(params, x, action) - wanted_discount).square().mean(-1)
        elif term == "ball":
            largest = agent.by_position(x).square().amax(-2).flatten(-2)  # (*members, B P)
            excess = largest - settings.ball_radius**2  # `ball_pieces` spelt without its copy: the trainer runs this
            values[term] = excess.clamp(0.0, settings.ball_max).mean(-1)
        elif term == "random_pairs":
            values[term] = _pairwise(_pair_difference(embedding, x, batch), settings).mean(-1)
        elif term == "consecutive":
            values[term] = _pairwise(x - x_next, settings).mean(-1)
        elif term == "value":
            values[term] = _value_term(agent, params, batch, settings, embedding, x, target)
        elif term == "interpret":
            values[term] = _interpret(agent, params, x)
        elif term == "pairing":
            if batch.anchor is None:
                raise KeyError("the term 'pairing' needs a batch with anchors")
            values[term] = (x - batch.anchor).square().mean((-2, -1))
        else:
            raise KeyError(f"unknown loss term {term!r}; known are {', '.join(TERMS)}")
    return values


def total(terms: dict[str, Tensor], settings: LossSettings) -> Tensor:
    """Weighted sum of terms, (*members): what the paper minimises. `pairing` counts with weight 1."""
    weights = settings.weights() | {"pairing": 1.0}
    parts = [value if weights[name] == 1 else weights[name] * value for name, value in terms.items() if weights[name] != 0]
    result = parts[0]
    for part in parts[1:]:  # not stacked: on a surface, terms of the encoder alone lack the dynamics' axis
        result = result + part
    return result


def ball_pieces(agent: Agent, x: Tensor, settings: LossSettings) -> Tensor:
    """The alternatives whose maximum is `ball` at each position: 0, and x_k^2 - radius^2 for every channel k.

    Args:
        x: (*members, rows, d) abstract states.

    Returns:
        (*members, rows P, 1 + C); where two of them tie for the maximum, the loss has a kink.
    """
    excess = agent.by_position(x).square() - settings.ball_radius**2  # (*members, rows, C, P)
    pieces = torch.cat((torch.zeros_like(excess[..., :1, :]), excess), dim=-2)
    return pieces.transpose(-1, -2).flatten(-3, -2)


def ball_weights(agent: Agent, batch: Batch, settings: LossSettings) -> Tensor:
    """(N P,) what the maximum at each position of each of the evaluation set's `states` weighs in the total, float64."""
    assert batch.states is not None
    counts = torch.bincount(batch.state, minlength=batch.observations.shape[-4]).double()[batch.states]
    return (settings.ball_weight * counts / counts.sum() / agent.positions).repeat_interleave(agent.positions)


def smooth_total(
    agent: Agent, params: Params, batch: Batch, settings: LossSettings, smoothing: float, weights: Tensor, embedding: Tensor | None = None
) -> Tensor:
    """Total loss of many points on an evaluation set with the maxima in `ball` smooth: smoothing logsumexp(pieces / smoothing).

    Args:
        smoothing: 0 for the maxima themselves.
        weights: those of :func:`ball_weights`.
        embedding: as in :func:`loss_terms`.

    Returns:
        (*members), above the total by at most smoothing log(1 + C) per unit of weight.
    """
    assert batch.states is not None
    if embedding is None:
        embedding = agent.encode(params, batch.observations)
    names = [name for name, weight in settings.weights().items() if name != "ball" and weight != 0]
    smooth = total(loss_terms(agent, params, batch, settings, names, embedding=embedding), settings)
    pieces = ball_pieces(agent, embedding.index_select(-2, batch.states), settings)
    tops = smoothing * torch.logsumexp(pieces / smoothing, -1) if smoothing > 0 else pieces.amax(-1)
    return smooth + (weights * tops).sum(-1)


def value_targets(
    agent: Agent, params: Params, batch: Batch, settings: LossSettings, target: Params | None = None, embedding: Tensor | None = None
) -> Tensor:
    """Bootstrap values y = r + (1 - terminated) discount Q_target(e_target(s'))[a*], (*members, B), without gradient.

    a* maximises the target's own Q, or the online Q of `params` with `settings.double_q`, which sees the abstract
    states `embedding` (*members, rows, d), the encoder's by default.
    """
    frozen = params if target is None else target
    with torch.no_grad():
        observations, next_state = batch.observations, batch.next_state
        each_once = next_state.dim() == 1 and 2 * len(next_state) == observations.shape[-4]
        if each_once:  # half of the rows are s, whose values nobody asks for
            observations = observations.index_select(-4, next_state)
        values = agent.value(frozen, agent.encode(frozen, observations))  # (*members, rows, 4)
        chooser = values
        if settings.double_q:
            if embedding is None:
                embedding = agent.encode(params, observations)
            elif each_once:
                embedding = embedding.index_select(-2, next_state)
            chooser = agent.value(params, embedding)
        best = torch.take_along_dim(values, chooser.argmax(-1, keepdim=True), -1).squeeze(-1)  # (*members, rows)
        if not each_once:
            best = best.gather(-1, next_state.expand(*best.shape[:-1], next_state.shape[-1]))
        return batch.reward + (1 - batch.terminated) * settings.discount * best


def _rows(embedding: Tensor, index: Tensor) -> Tensor:
    """Rows of (*members, rows, d): index (B,) is shared by all members, (*members, B) is each member's own."""
    if index.dim() == 1:
        return embedding.index_select(-2, index)
    return torch.take_along_dim(embedding, index.unsqueeze(-1), dim=-2)


def _pairwise(difference: Tensor, settings: LossSettings) -> Tensor:
    """exp(-C_d |difference|) of (*members, K, d), the squared norm clipped: (*members, K)."""
    squared = difference.square().sum(-1).clamp(settings.pair_min, settings.pair_max)
    return torch.exp(-settings.pair_scale * squared.sqrt())


def _pair_difference(embedding: Tensor, x: Tensor, batch: Batch) -> Tensor:
    if batch.pairs is None:
        return x - x.roll(1, dims=-2)
    return embedding[..., batch.pairs[0], :] - embedding[..., batch.pairs[1], :]


def _value_term(
    agent: Agent, params: Params, batch: Batch, settings: LossSettings, embedding: Tensor, x: Tensor, target: Params | None
) -> Tensor:
    wanted = batch.value_target
    if wanted is None:
        wanted = value_targets(agent, params, batch, settings, target, embedding.detach())
    if batch.state.dim() == 1 and embedding.shape[-2] < batch.state.shape[0]:
        values = agent.value(params, embedding).index_select(-2, batch.state)  # each state once: it does not depend on the action
    else:
        values = agent.value(params, x)  # (*members, B, 4)
    action = batch.action.expand(values.shape[:-1]).unsqueeze(-1)
    taken = values.gather(-1, action).squeeze(-1)
    error = (taken - wanted).square().mean(-1)
    return error / agent.n_actions if settings.value_over_actions else error


def _interpret(agent: Agent, params: Params, x: Tensor) -> Tensor:
    """-cos between T(x, 0) - x and the first axis, averaged over all actions, of which only action 0 has a
    direction (the released code's choice); its learning rate there is 0, so it is logged and never followed."""
    first = torch.zeros(x.shape[:-1], dtype=torch.int64, device=x.device)
    move = (agent.transition(params, x, first) - x)[..., :2]
    cosine = move[..., 0] / move.square().sum(-1).clamp_min(1e-12).sqrt()
    return -cosine.mean(-1) / agent.n_actions
