"""`crar_model.check_task`: whether a task of one's own gives what the program asks of it, as `gymnasium.utils.env_checker` does of environments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.params import BLOCKS, block_of
from crar_model.core.settings import PlaySettings
from crar_model.tasks import INVERSE
from crar_model.tasks.check_sets import closed_form, inside, losses, need, params_of, same, sets, settings_of
from crar_model.tasks.samples import Sampling
from crar_model.tasks.task import GRID, Task

if TYPE_CHECKING:
    from torch import Tensor

    from crar_model.agent.batch import Batch

SEED, OTHER_SEED, SIZE, UPDATES = 3, 4, 4, 3
"""Of the members whose data are compared, how many transitions an update of theirs has, and how many updates are looked at."""
SHORT: dict[str, Any] = {"data_size": 64, "batch_size": SIZE, "score_steps": 4, "score_copies": 1, "planning_depth": 0}


def check_task(task: Task) -> None:
    """Hold a task against what training, evaluation and landscapes ask of it; see docs/your_own_task.md.

    Names and settings; shapes and dtypes of agent, evaluation set, samples and training data; the same states, in the same order, on both sides;
    the closed-form copy; finite losses; figures of merit in their range; data by the member's seed and the update alone; everything twice the same.

    Args:
        task: need not be in the table of tasks.

    Raises:
        UserError: for the first thing that is wrong, in one line that says what to do.
    """
    for asked in (_names, settings_of, _agent, _tables, sets, losses, closed_form, _metrics, _data, _play):
        try:
            asked(task)
        except UserError:
            raise
        except Exception as error:  # of whatever kind: the code of a task is its author's
            what = asked.__name__.strip("_").replace("_", " ")
            raise UserError(f"{task.name}: asked for its {what} it raises {type(error).__name__} ({error}); mend that method") from error


def _names(task: Task) -> None:
    name = getattr(task, "name", None)
    if not isinstance(name, str) or not name or not name.replace("-", "").replace("_", "").isalnum() or name.endswith(INVERSE):
        raise UserError(f"{type(task).__name__}: its name is {name!r}; give letters, digits and -, not ending in {INVERSE}")
    need(
        isinstance(getattr(task, "title", None), str) and bool(task.title), task, "it has no title", "give one for the headings of reports"
    )
    sampling = getattr(task, "sampling", None)
    need(isinstance(sampling, Sampling), task, f"its sampling is {sampling!r}", "give a crar_model.tasks.Sampling")
    for field, known in (("dtype", ("float32", "float64")), ("space", ("embedding", "weight"))):
        value = getattr(task.sampling, field)
        need(value in known, task, f"its sampling.{field} is {value!r}", f"give {' or '.join(known)}")
    need(
        task.sampling.chunk is None or task.sampling.chunk >= 1,
        task,
        f"its sampling.chunk is {task.sampling.chunk}",
        "give 1 or more, or None",
    )
    rates = [task.pace.get(rule, 0.0) for rule in ("joint", "sequential")]
    need(min(rates) > 0, task, "its pace lacks a rule or is not above 0", "give updates in a second for joint and for sequential")
    own = task.with_walls("") is task and task.with_map(task.observation_map) is task
    need(own, task, "with_walls or with_map changes what is the task's own", "return self there")
    task.with_observation(GRID)


def _agent(task: Task) -> None:
    import torch

    agent, params = task.agent(), params_of(task)
    odd = [name for name in params if block_of(name) not in BLOCKS]
    lacking = [block for block in BLOCKS if block not in map(block_of, params)]
    need(not odd, task, f"its agent has the parameter {odd[:1]}", f"begin names with a block: {', '.join(BLOCKS)}")
    need(not lacking, task, f"its agent has no parameters of {', '.join(lacking)}", "give all five networks")
    for name, value in params.items():
        need(value.dtype == torch.float32, task, f"its parameter {name} is {value.dtype}", "draw it as float32")
        need(bool(value.isfinite().all()), task, f"its parameter {name} is not finite", "draw finite numbers")
    need(
        same(params, params_of(task)),
        task,
        "its agent draws other parameters from the same seed",
        "use the generator that init is given alone",
    )
    for block in BLOCKS:
        need(
            all(isinstance(sign, bool) for sign in agent.unit_signs(block)),
            task,
            f"unit_signs({block!r}) is no tuple of bool",
            "give one a layer",
        )
    for block in BLOCKS[1:]:
        need(
            isinstance(agent.state_inputs(block), slice), task, f"state_inputs({block!r}) is no slice", "give the inputs that are the state"
        )


def _tables(task: Task) -> None:

    maze = task.maze
    if maze is None:
        need(
            not task.sampling.complete, task, "its evaluation set is complete but it has no table of states", "give maze, or complete=False"
        )
        return
    n, actions = maze.successor.shape
    need(
        actions == task.agent().n_actions, task, f"its maze has {actions} actions, its agent {task.agent().n_actions}", "give both the same"
    )
    need(inside(maze.successor, n), task, "its maze's successor does not hold states", f"give int64 from 0 to {n - 1}")
    need(0 <= maze.start < n, task, f"its maze starts in state {maze.start}", f"give one from 0 to {n - 1}")
    if task.sampling.drawn:
        return
    for inverse in (False, True):
        rows = len(maze.observations(inverse=inverse))
        need(rows == n, task, f"its maze shows {rows} observations of {n} states", "give one a state, in their order")


def _metrics(task: Task) -> None:
    from crar_model.tasks.metrics import Score

    agent, params, how = task.agent(), params_of(task), PlaySettings(episodes=2, depth=0)
    for inverse in (False, True):
        found, again = (task.metrics(agent, params, inverse=inverse, how=how) for _ in range(2))
        need(bool(found), task, "it has no figure of merit", "give at least one in metrics")
        need(found == again, task, "metrics differ from call to call", "play from how.seed alone")
        for name, value in found.items():
            if isinstance(value, Score):
                need(math.isfinite(value.mean), task, f"its metric {name} is {value.mean}", "give a finite mean")
            else:
                need(
                    isinstance(value, float) and 0 <= value <= 1,
                    task,
                    f"its metric {name} is {value!r}",
                    "give a share from 0 to 1, or a Score",
                )
    scored = isinstance(found.get("score"), Score)
    need(scored or not task.scored, task, "it is scored, but metrics have no Score of the name 'score'", "give one, or say scored = False")


def _data(task: Task) -> None:
    import torch

    settings, cpu = settings_of(task, **SHORT), torch.device("cpu")
    both, alone = (task.data(settings, seeds, cpu) for seeds in ([SEED, OTHER_SEED], [SEED]))
    for data, count in ((both, 2), (alone, 1)):
        data.new_target({name: torch.stack([value] * count) for name, value in params_of(task).items()})
    listed = both.listed
    need(
        listed is None or listed is both, task, "its data's listed is neither itself nor None", "return self where the states can be listed"
    )
    last = both.batch(UPDATES)
    need(
        last.action.shape == (2, SIZE),
        task,
        f"its data's actions are {tuple(last.action.shape)}",
        f"give (members, batch), here (2, {SIZE})",
    )
    first, second, own = ([_shown(data.batch(update), k) for update in range(UPDATES)] for data, k in ((both, 0), (both, 1), (alone, 0)))
    again = [_shown(both.batch(update), 0) for update in range(UPDATES)]
    need(same(first, again), task, "batch(update) is another one every time", "draw from the seed and the update alone")
    need(same(first, own), task, "a member's data depend on who is beside it", "draw every member's from its own seed alone")
    need(not same(first, second), task, "members of two seeds see the same data", "draw every member's from its own seed")
    for part in first:
        need(
            inside(part["action"], task.agent().n_actions),
            task,
            "its data's actions are out of range or no int64",
            f"give int64 from 0 to {task.agent().n_actions - 1}",
        )
        need(bool(part["reward"].isfinite().all()), task, "its data's rewards are not finite", "give finite numbers")


def _shown(batch: Batch, member: int) -> dict[str, Tensor]:
    """What a member sees in a batch."""

    def own(value: Tensor, shared: int) -> Tensor:
        return value[member] if value.dim() > shared else value

    seen = own(batch.observations, 4)
    rows = {name: seen[own(getattr(batch, name), 1)] for name in ("state", "next_state")}
    return rows | {name: own(getattr(batch, name), 1) for name in ("action", "reward", "terminated")}


def _play(task: Task) -> None:
    import torch

    games = [task.game(SEED, inverse=inverse) for inverse in (False, True)]
    if not task.scored:
        return
    need(None not in games, task, "it is scored, but game() is None", "give one episode to play, or say scored = False")
    members = {name: torch.stack([value, value]) for name, value in params_of(task).items()}
    scores = [task.validate(task.agent(), members, seeds=[[SEED], [OTHER_SEED]], settings=settings_of(task, **SHORT)) for _ in range(2)]
    fits = scores[0].shape == (2,) and bool(scores[0].isfinite().all())
    need(fits, task, f"validate gives {tuple(scores[0].shape)} for 2 members", "give one finite score a member")
    need(torch.equal(*scores), task, "validate gives other scores every time", "play from the seeds that it is given alone")
