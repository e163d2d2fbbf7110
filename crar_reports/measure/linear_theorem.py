"""The theorem's linear case, proven symbolically, with its exact exceptions (claim S9).

The appendix takes a model y' = w x + b of encoder and dynamics together and the loss L = (y' - y)^2, and concludes from
w_1 != w_2 that losses and gradients differ. Three readings are decided here: the loss and gradient at one point, the same as
functions of the encoder's weight u with x = u s, and the CRAR transition term, whose target is encoded as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

x, y, w1, w2, b1, b2, u, s, s2 = sp.symbols("x y w1 w2 b1 b2 u s s'", real=True)


@dataclass(frozen=True)
class Statement:
    """One reading of the theorem.

    Attributes:
        name: what is compared.
        claim: when the two sides are equal, in words.
        identity: the SymPy identity that proves it, as text.
        proven: whether SymPy reduces the identity to 0.
        difference: what is compared, first minus second; 0 under each exception.
        exceptions: (name, values) under which different dynamics give equal sides.
    """

    name: str
    claim: str
    identity: str
    proven: bool
    difference: sp.Expr
    exceptions: tuple[tuple[str, dict[sp.Symbol, sp.Expr]], ...]


@dataclass(frozen=True)
class Exempt:
    """An exception, where it is (SymPy's substitution as text), and what the difference is there, "0" for none."""

    name: str
    where: str
    difference: str


@dataclass(frozen=True)
class Proof:
    """A :class:`Statement` as text."""

    name: str
    claim: str
    identity: str
    proven: bool
    exceptions: tuple[Exempt, ...]

    @property
    def kept(self) -> list[str]:
        """The exceptions that leave no difference."""
        return [each.name for each in self.exceptions if each.difference == "0"]


def proofs() -> list[Proof]:
    """The three readings as text."""
    return [Proof(s.name, s.claim, s.identity, s.proven, tuple(_exempt(s, *each) for each in s.exceptions)) for s in statements()]


def _exempt(statement: Statement, name: str, values: dict[sp.Symbol, sp.Expr]) -> Exempt:
    where = ", ".join(f"{symbol} = {sp.sstr(value)}" for symbol, value in values.items())
    return Exempt(name, where, sp.sstr(sp.simplify(statement.difference.subs(values, simultaneous=True))))


def loss(w: sp.Expr, b: sp.Expr, at: sp.Expr = x) -> sp.Expr:
    """The appendix's loss (w x + b - y)^2."""
    return (w * at + b - y) ** 2


def transition_loss(d: sp.Expr, c: sp.Expr) -> sp.Expr:
    """The transition term of linear networks: encoder u, dynamics d x + c, observations s and s'."""
    return (d * u * s + c - u * s2) ** 2


def statements() -> list[Statement]:
    """The three readings, each with its proof and its exceptions."""
    first, second = w1 * x + b1, w2 * x + b2
    losses = sp.expand(loss(w1, b1) - loss(w2, b2) - (first - second) * (first + second - 2 * y))
    slopes = sp.expand(sp.diff(loss(w1, b1), w1) - sp.diff(loss(w2, b2), w2) - 2 * x * (first - second))
    encoder = sp.Poly(sp.expand(loss(w1, b1, u * s) - loss(w2, b2, u * s)), u)
    wanted = [s**2 * (w1**2 - w2**2), 2 * s * (w1 * (b1 - y) - w2 * (b2 - y)), (b1 - y) ** 2 - (b2 - y) ** 2]
    coefficients = all(sp.expand(a - b) == 0 for a, b in zip(encoder.all_coeffs(), wanted, strict=True))
    latent = sp.Poly(sp.expand(transition_loss(w1, b1) - transition_loss(w2, b2)), u)
    goal = [(w1 * s - s2) ** 2 - (w2 * s - s2) ** 2, 2 * b1 * (w1 * s - s2) - 2 * b2 * (w2 * s - s2), b1**2 - b2**2]
    coded = all(sp.expand(a - b) == 0 for a, b in zip(latent.all_coeffs(), goal, strict=True))
    return [
        Statement(
            "loss at one input",
            "L1 = L2 exactly when the outputs are equal, or their residuals are opposite: y1' + y2' = 2y",
            "L1 - L2 = (y1' - y2') (y1' + y2' - 2y)",
            losses == 0,
            loss(w1, b1) - loss(w2, b2),
            (
                ("equal outputs of different weights", {w1: sp.Integer(1), b1: sp.Integer(0), w2: sp.Integer(2), b2: -x}),
                ("opposite residuals", {w1: sp.Integer(1), b1: y, w2: sp.Integer(-1), b2: y}),
                ("x = 0 with equal biases", {x: sp.Integer(0), b2: b1}),
            ),
        ),
        Statement(
            "gradient with respect to the weight at one input",
            "dL/dw is equal exactly when x = 0 or the outputs are equal; opposite residuals do not do",
            "dL1/dw - dL2/dw = 2 x (y1' - y2')",
            slopes == 0,
            sp.diff(loss(w1, b1), w1) - sp.diff(loss(w2, b2), w2),
            (("x = 0", {x: sp.Integer(0)}), ("equal outputs of different weights", {b2: w1 * x + b1 - w2 * x})),
        ),
        Statement(
            "the encoder's whole landscape, x = u s",
            "L(u) is the same for all u exactly when (w2, b2 - y) = +-(w1, b1 - y), or s = 0 or w1 = w2 = 0 with (b1 - y)^2 = (b2 - y)^2",
            "coefficients of u^2, u, 1 of L1 - L2: s^2 (w1^2 - w2^2), 2 s (w1 (b1 - y) - w2 (b2 - y)), (b1 - y)^2 - (b2 - y)^2",
            coefficients,
            loss(w1, b1, u * s) - loss(w2, b2, u * s),
            (
                ("mirrored dynamics", {w2: -w1, b2: 2 * y - b1}),
                ("input 0, residuals of equal size", {s: sp.Integer(0), b2: 2 * y - b1}),
            ),
        ),
        Statement(
            "the transition term, whose target u s' is encoded too",
            "L(u) is the same for all u exactly when (w2 s - s', b2) = +-(w1 s - s', b1), so also for w2 = 2 s'/s - w1, b2 = -b1",
            "coefficients of u^2, u, 1: (w1 s - s')^2 - (w2 s - s')^2, 2 b1 (w1 s - s') - 2 b2 (w2 s - s'), b1^2 - b2^2",
            coded,
            transition_loss(w1, b1) - transition_loss(w2, b2),
            (("opposite residuals for every encoder", {w2: 2 * s2 / s - w1, b2: -b1}),),
        ),
    ]
