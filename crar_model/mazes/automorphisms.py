"""Symmetries of a world that is a table of moves: renamings of its states that no agent with frozen dynamics can notice.

A symmetry is a permutation p of the states such that every action a leads from p(s) to p(s') where it leads from s to s', for the same reward, with the
same end. Then e' = e p is as right under frozen dynamics T as e: T(e'(s), a) = T(e(p s), a) = e(p s') = e'(s'), and what reward, discount and value say of
e(p s) is true of s. Conversely, let T be exact on the points e(S), which differ, and let e' take its values among them. If e' has no transition error,
e' = e f with f(s') the state that a leads to from f(s). Where every state can be reached from every other, such an f reaches all states, so it is a
symmetry. So the right embeddings among the base's points are e p and no others.

Actions keep their names. With (p, q) that exchanges actions too, q(a) leading from p(s) to p(s'), e p predicts for a what q^-1(a) does, and frozen dynamics
cannot exchange their inputs. Such an embedding is right only where q exchanges actions that do the same everywhere, and then p alone is a symmetry.

A symmetry is settled by where it takes one state of each source (a strongly connected part that nothing leads into): moves give the rest. So a world that
can be reached from one state has at most as many symmetries as states. Parts of the world that are not joined may also be exchanged as wholes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import Any

import numpy as np

NOWHERE = -1
"""In place of a state: the move was never taken, or ends the episode, so that the state behind it says nothing."""
ROUNDS = 32
"""Refinements of the states' kinds, at most: they only spare attempts."""
MOST = 10_000
"""Ways to lay one part of a world onto another that are listed, at most."""
TRIES = 3_000_000
"""States that are settled, again and again, while one part is laid onto another, at most."""
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Moves:
    """A table of moves.

    Attributes:
        successor: (N, A) state that each action leads to, or `NOWHERE`.
        kind: (N, A) 0 where the move was never taken; moves of one positive number have the same reward and the same end.
        seen: (N, A) the state that was seen behind each move, behind an end too; `NOWHERE` where the move was never taken.
    """

    successor: Ints
    kind: Ints
    seen: Ints

    @classmethod
    def of(cls, state: Ints, action: Ints, next_state: Ints, reward: Any, terminated: Any, shape: tuple[int, int]) -> Moves | None:
        """The table of transitions (B,) each, of `shape` (states, actions); None where the same move came out in two ways."""
        outcomes = np.column_stack((np.asarray(reward, float), np.asarray(terminated, float)))
        follows = np.where(outcomes[:, 1] > 0, NOWHERE, next_state)
        kinds = 1 + np.unique(outcomes, axis=0, return_inverse=True)[1].reshape(-1)
        (successor, seen), kind = (np.full(shape, NOWHERE, np.int64) for _ in range(2)), np.zeros(shape, np.int64)
        successor[state, action], kind[state, action], seen[state, action] = follows, kinds, next_state
        same = (successor[state, action] == follows).all() and (kind[state, action] == kinds).all()
        return cls(successor, kind, seen) if same else None

    @cached_property
    def silent(self) -> Any:
        """(N,) whether no move says anything of a state: none was taken there, and none leads there without an end. Symmetries leave it where it is."""
        spoken = (self.kind != 0).any(1)
        spoken[self.successor[self.successor != NOWHERE]] = True
        return ~spoken

    @cached_property
    def colours(self) -> Ints:
        """(N,) what tells states apart, refined by those before and behind them: symmetries only take a state to one of its colour."""
        states = len(self.successor)
        before: list[list[tuple[int, int]]] = [[] for _ in range(states)]
        for state, action in zip(*np.nonzero(self.successor != NOWHERE), strict=True):
            before[self.successor[state, action]].append((int(action), int(state)))
        still = self.successor == np.arange(states)[:, None]
        colour = np.unique(np.column_stack((self.kind, still)), axis=0, return_inverse=True)[1].reshape(-1)
        for _ in range(ROUNDS):
            behind = np.where(self.successor == NOWHERE, NOWHERE, colour[self.successor])
            seen = [
                (int(colour[s]), tuple(behind[s].tolist()), tuple(sorted((a, int(colour[p])) for a, p in before[s]))) for s in range(states)
            ]
            names = {each: number for number, each in enumerate(sorted(set(seen)))}
            finer = np.array([names[each] for each in seen])
            if len(names) == len(set(colour.tolist())):
                break
            colour = finer
        return colour

    @cached_property
    def graph(self) -> Any:
        """(N, N) sparse, where a move leads."""
        from scipy.sparse import csr_array  # not at the top, as in `SimpleMaze.rooms`

        rows, columns = np.nonzero(self.successor != NOWHERE)
        states = len(self.successor)
        return csr_array((np.ones(len(rows)), (rows, self.successor[rows, columns])), shape=(states, states))

    @cached_property
    def strong(self) -> Any:
        """(N,) number of the strongly connected part that each state is in."""
        from scipy.sparse.csgraph import connected_components  # not at the top, as in `SimpleMaze.rooms`

        return connected_components(self.graph, connection="strong")[1]

    @cached_property
    def parts(self) -> tuple[tuple[Ints, tuple[int, ...]], ...]:
        """States of each part that is not joined to others, and one state of each of its sources, the rarest by colour first."""
        from scipy.sparse.csgraph import connected_components  # not at the top, as in `SimpleMaze.rooms`

        rows, columns = np.nonzero(self.successor != NOWHERE)
        to, strong = self.successor[rows, columns], self.strong
        part = connected_components(self.graph, connection="weak")[1]
        led_into = np.zeros(strong.max(initial=-1) + 1, bool)
        led_into[strong[to][strong[to] != strong[rows]]] = True
        rare = np.bincount(self.colours)[self.colours]
        roots: dict[int, list[int]] = {}
        for source in np.flatnonzero(~led_into):
            inside = np.flatnonzero(strong == source)
            roots.setdefault(int(part[inside[0]]), []).append(int(inside[np.argmin(rare[inside])]))
        return tuple((np.flatnonzero(part == k), tuple(sorted(roots[k], key=lambda s: rare[s]))) for k in sorted(roots))

    def follow(self, found: dict[int, int], root: int, image: int) -> dict[int, int] | None:
        """A partial renaming that takes root to image too, and with it all that follows; None where moves contradict it."""
        found, taken = dict(found), set(found.values())
        queue = [(root, image)]
        for state, to in queue:
            if state in found:
                if found[state] != to:
                    return None
                continue
            if to in taken or self.colours[state] != self.colours[to]:
                return None
            found[state] = to
            taken.add(to)
            for one, other in zip(self.successor[state].tolist(), self.successor[to].tolist(), strict=True):
                if (one == NOWHERE) != (other == NOWHERE):
                    return None
                if one != NOWHERE:
                    queue.append((one, other))
        return found

    def onto(self, part: int, other: int) -> Iterator[Ints | None]:
        """Ways to lay a part onto another, or itself: images of its states in their order; None last where not all were tried."""
        (states, roots), (others, _) = self.parts[part], self.parts[other]
        if len(states) != len(others):
            return

        def images(found: dict[int, int], depth: int) -> Iterator[dict[int, int]]:
            for image in others[self.colours[others] == self.colours[roots[depth]]].tolist():
                yield self.follow(found, roots[depth], image) or {}

        held: list[dict[int, int]] = [{}]
        whole, tried = [images({}, 0)], 0  # a source each, without recursion: there may be thousands
        while whole:
            if (found := next(whole[-1], None)) is None:
                whole.pop(), held.pop()
                continue
            if (tried := tried + 1 + len(held[-1])) > TRIES:
                yield None
                return
            if found and len(whole) < len(roots):
                whole.append(images(found, len(whole)))
                held.append(found)
            elif found:
                yield np.array([found[state] for state in states.tolist()])


class Symmetries:
    """All symmetries of a table of moves: of each part, and exchanges of parts that are alike.

    Args:
        moves: the table.

    Attributes:
        order: how many there are, the identity among them.
        whole: whether all ways to lay a part onto another were listed; where False there are more than `order`.
    """

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.ways: dict[tuple[int, int], Ints] = {}
        alike: list[list[int]] = []
        self.order, self.whole = 1, True
        for number, (states, _) in enumerate(moves.parts):
            if moves.silent[states].all():
                continue
            for group in alike:
                if self._lay(number, group[0]):
                    group.append(number)
                    break
            else:
                self._lay(number, number)
                alike.append([number])
        self.alike = tuple(map(tuple, alike))
        for group in alike:
            self.order *= factorial(len(group)) * len(self.ways[group[0], group[0]]) ** len(group)

    def _lay(self, part: int, other: int) -> bool:
        found: list[Ints] = []
        itself = self.moves.parts[part][0]
        for way in self.moves.onto(part, other):
            if len(found) == MOST or way is None:
                self.whole = False
                break
            found.append(way)
        if part == other and not any(np.array_equal(way, itself) for way in found):
            found.append(itself)
        if found:
            self.ways[part, other] = np.stack(found)
        return bool(found)

    def nearest(self, cost: np.ndarray[Any, Any]) -> tuple[Ints, float]:
        """The symmetry p of least cost, (N,) images, and that cost; the identity where nothing costs less.

        Args:
            cost: (N, N), finite; of taking a state (row) to another (column), summed over all states.
        """
        from scipy.optimize import linear_sum_assignment

        best = np.arange(len(self.moves.successor))
        for group in self.alike:
            lowest, chosen = np.zeros((len(group), len(group))), dict[tuple[int, int], Ints]()
            for i, part in enumerate(group):
                for j, other in enumerate(group):
                    ways = self._between(part, other, group[0])
                    costs = cost[self.moves.parts[part][0], ways].sum(1)
                    k = int(costs.argmin())
                    lowest[i, j], chosen[i, j] = costs[k], ways[k]
            for i, j in zip(*linear_sum_assignment(lowest), strict=True):
                best[self.moves.parts[group[i]][0]] = chosen[i, j]
        here, itself = (float(cost[np.arange(len(best)), images].sum()) for images in (best, np.arange(len(best))))
        return (best, here) if here < itself else (np.arange(len(best)), itself)

    def _between(self, part: int, other: int, first: int) -> Ints:
        """(ways, states) of laying a part onto another that is alike: by way of the first of their kind."""
        if (part, other) in self.ways:
            return self.ways[part, other]
        states, others = (self.moves.parts[k][0] for k in (part, other))
        there = self.ways[part, first]  # (ways, n): images in the first, of each state
        back = np.empty(len(self.moves.successor), np.int64)
        back[self.ways[other, first][0]] = others  # undoes one way from the other part to the first
        assert len(states) == len(others)
        return back[there]
