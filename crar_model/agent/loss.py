"""The one loss of the project: named terms as a pure function of (parameters, batch).

The trainer follows its gradient, the landscape samples it, curvature differentiates it twice: :class:`Loss` knows the networks and the
coefficients, :class:`FrozenLoss` one batch besides. All terms work for one model and for many members at once: a term of parameters with
leading axes (*members) has shape (*members). Formulas: CRAR paper section 2 and the released code; names as in the table of the README.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from crar_model.agent.agent import Agent
from crar_model.agent.batch import Batch
from crar_model.agent.formulas import pair_difference, pairwise, rows, sideways
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

Terms = dict[str, Tensor]
"""Term -> (*members), each the mean over a batch; `total` may stand beside them."""


@dataclass(frozen=True)
class Loss:
    """The loss of one kind of agent.

    Attributes:
        agent: gives the networks.
        settings: coefficients, and the weights of the terms in the total.
    """

    agent: Agent
    settings: LossSettings

    def on(self, batch: Batch, bootstrap: Params | None = None) -> FrozenLoss:
        """The loss on one batch, its actions one-hot.

        Args:
            batch: what to evaluate on.
            bootstrap: a model whose bootstrap values all points regress to; by default those of the batch, or else a point's own.
        """
        onehot = self.agent.one_hot(batch.action, batch.reward.dtype) if batch.onehot is None else batch.onehot
        targets = batch.value_target if bootstrap is None else self.targets(bootstrap, batch)
        return FrozenLoss(self, replace(batch, value_target=targets, onehot=onehot))

    def __call__(
        self, params: Params, batch: Batch, names: Iterable[str] = TERMS, target: Params | None = None, embedding: Tensor | None = None
    ) -> Terms:
        """Evaluate loss terms, unweighted.

        Args:
            params: parameters with optional leading member axes.
            batch: what to evaluate on.
            names: which terms, of `TERMS` or "pairing" (needs `batch.anchor`).
            target: parameters (encoder and value) that give the bootstrap value when `batch.value_target` is None; the model's own by default.
            embedding: (*members, rows, d) abstract states to use in place of the encoder's, for walks in embedding space.

        Raises:
            KeyError: for an unknown term.
        """
        agent, settings = self.agent, self.settings
        if embedding is None:
            embedding = agent.encode(params, batch.observations)  # (*members, rows, d)
        wanted = tuple(names)
        action = batch.action if batch.onehot is None else batch.onehot
        size = batch.state.shape[-1]
        if "transition" in wanted or "consecutive" in wanted:  # one gather for s and s'
            both = rows(embedding, torch.cat((batch.state, batch.next_state), dim=-1))
            x, x_next = both[..., :size, :], both[..., size:, :]
        else:
            x = x_next = rows(embedding, batch.state)  # (*members, B, d)
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
                excess = largest - settings.ball_radius**2  # `pieces` spelt without its copy: the trainer runs this
                values[term] = excess.clamp(0.0, settings.ball_max).mean(-1)
            elif term == "random_pairs":
                values[term] = pairwise(pair_difference(embedding, x, batch), settings).mean(-1)
            elif term == "consecutive":
                values[term] = pairwise(x - x_next, settings).mean(-1)
            elif term == "value":
                values[term] = self._value_term(params, batch, embedding, x, target)
            elif term == "interpret":
                values[term] = sideways(agent, params, x)
            elif term == "pairing":
                if batch.anchor is None:
                    raise KeyError("the term 'pairing' needs a batch with anchors")
                values[term] = (x - batch.anchor).square().mean((-2, -1))
            else:
                raise KeyError(f"unknown loss term {term!r}; known are {', '.join(TERMS)}")
        return values

    def total(self, terms: Terms) -> Tensor:
        """Weighted sum of terms, (*members): what the paper minimises. `pairing` counts with weight 1."""
        weights = self.settings.weights() | {"pairing": 1.0}
        parts = [value if weights[name] == 1 else weights[name] * value for name, value in terms.items() if weights[name] != 0]
        result = parts[0]
        for part in parts[1:]:  # not stacked: on a surface, terms of the encoder alone lack the dynamics' axis
            result = result + part
        return result

    def targets(self, params: Params, batch: Batch, target: Params | None = None, embedding: Tensor | None = None) -> Tensor:
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
            values = self.agent.value(frozen, self.agent.encode(frozen, observations))  # (*members, rows, 4)
            chooser = values
            if self.settings.double_q:
                if embedding is None:
                    embedding = self.agent.encode(params, observations)
                elif each_once:
                    embedding = embedding.index_select(-2, next_state)
                chooser = self.agent.value(params, embedding)
            best = torch.take_along_dim(values, chooser.argmax(-1, keepdim=True), -1).squeeze(-1)  # (*members, rows)
            if not each_once:
                best = best.gather(-1, next_state.expand(*best.shape[:-1], next_state.shape[-1]))
            return batch.reward + (1 - batch.terminated) * self.settings.discount * best

    def _value_term(self, params: Params, batch: Batch, embedding: Tensor, x: Tensor, target: Params | None) -> Tensor:
        wanted = batch.value_target
        if wanted is None:
            wanted = self.targets(params, batch, target, embedding.detach())
        if batch.state.dim() == 1 and embedding.shape[-2] < batch.state.shape[0]:
            values = self.agent.value(params, embedding).index_select(-2, batch.state)  # each state once: it does not depend on the action
        else:
            values = self.agent.value(params, x)  # (*members, B, 4)
        action = batch.action.expand(values.shape[:-1]).unsqueeze(-1)
        taken = values.gather(-1, action).squeeze(-1)
        error = (taken - wanted).square().mean(-1)
        return error / self.agent.n_actions if self.settings.value_over_actions else error


@dataclass(frozen=True)
class FrozenLoss:
    """The loss on one batch: what a landscape, a cure and a trajectory take.

    Attributes:
        loss: networks and coefficients.
        batch: from :meth:`Loss.on`; for :attr:`weights`, :meth:`pieces` and :meth:`total` an evaluation set, with `states`.
    """

    loss: Loss
    batch: Batch

    @cached_property
    def agent(self) -> Agent:
        """The networks."""
        return self.loss.agent

    @cached_property
    def settings(self) -> LossSettings:
        """Coefficients and weights of the terms."""
        return self.loss.settings

    def embedding(self, params: Params) -> Tensor:
        """(*members, rows, d) abstract states of every row of the batch, without gradient."""
        with torch.no_grad():
            return self.agent.encode(params, self.batch.observations)

    def terms(self, params: Params, embedding: Tensor | None = None, names: tuple[str, ...] = TERMS) -> Terms:
        """Loss terms as :class:`Loss` gives them, and their `total` where all of its terms are asked for."""
        values = self.loss(params, self.batch, names, embedding=embedding)
        whole = all(name in names for name, weight in self.settings.weights().items() if weight != 0)
        return values | {"total": self.loss.total(values)} if whole else values

    @cached_property
    def weights(self) -> Tensor:
        """(N P,) what the maximum at each position of each of the evaluation set's `states` weighs in the total, float64."""
        assert self.batch.states is not None
        counts = torch.bincount(self.batch.state, minlength=self.batch.observations.shape[-4]).double()[self.batch.states]
        positions = self.agent.positions
        return (self.settings.ball_weight * counts / counts.sum() / positions).repeat_interleave(positions)

    def pieces(self, embedding: Tensor) -> Tensor:
        """The alternatives whose maximum is `ball` at each position: 0, and x_k^2 - radius^2 for every channel k.

        Args:
            embedding: (*members, rows, d) abstract states.

        Returns:
            (*members, N P, 1 + C); where two of them tie for the maximum, the loss has a kink.
        """
        assert self.batch.states is not None
        excess = self.agent.by_position(embedding.index_select(-2, self.batch.states)).square() - self.settings.ball_radius**2
        pieces = torch.cat((torch.zeros_like(excess[..., :1, :]), excess), dim=-2)  # (*members, N, 1 + C, P)
        return pieces.transpose(-1, -2).flatten(-3, -2)

    def smooth(self, params: Params, embedding: Tensor | None = None) -> Tensor:
        """The total without `ball`, (*members): what is smooth of it."""
        names = [name for name, weight in self.settings.weights().items() if name != "ball" and weight != 0]
        return self.loss.total(self.loss(params, self.batch, names, embedding=embedding))

    def total(self, params: Params, embedding: Tensor | None = None, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
        """Total loss, (*members), with the maxima in `ball` smooth: smoothing logsumexp(pieces / smoothing).

        Args:
            params, embedding: as of :class:`Loss`.
            smoothing: 0 for the maxima themselves; else the result is above them by at most smoothing log(1 + C) per unit of weight.
            weights: in place of :attr:`weights`.
        """
        if embedding is None:
            embedding = self.agent.encode(params, self.batch.observations)
        smooth, pieces = self.smooth(params, embedding), self.pieces(embedding)
        tops = smoothing * torch.logsumexp(pieces / smoothing, -1) if smoothing > 0 else pieces.amax(-1)
        return smooth + ((self.weights if weights is None else weights).to(tops.dtype) * tops).sum(-1)
