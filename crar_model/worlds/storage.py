"""Episodes in and out of Minari datasets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from gymnasium import spaces

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.worlds.environments import Recipe, make
from crar_model.worlds.episodes import Array, Episode, Episodes
from crar_model.worlds.plain import flattenable, left_out, wordy

ABOUT = "crar"
"""The key of a dataset's metadata that holds what gathering noted."""
AS_JPEG = 32
"""Sides of byte images from which Minari writes JPEG where nothing else is said."""


USUAL_MOVE = 0.95
"""Share of the moves that are no longer than a usual one."""


def save_minari(folder: StrPath, episodes: Episodes) -> None:
    """Write episodes as a Minari dataset in a new folder: images as they are, not as JPEG.

    Raises:
        UserError: when it cannot be written.
    """
    from minari import __version__
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    folder = Path(folder).absolute()  # Minari adds up the sizes of files of a relative one at twice its path
    folder.mkdir(parents=True, exist_ok=True)
    env = make(Recipe.of(episodes.about["recipe"]))
    storage = MinariStorage.new(folder / "data", env.observation_space, env.action_space, env.spec, "hdf5", jpeg_encoding=False)
    env.close()
    offset = int(getattr(env.action_space, "start", 0))
    storage.update_metadata(
        {
            "dataset_id": f"{re.sub('[^A-Za-z0-9_-]', '-', folder.name)}-v0", "minari_version": __version__,
            "algorithm_name": str(episodes.about["policy"]), ABOUT: json.dumps(episodes.about),
        }
    )  # fmt: skip
    storage.update_episodes(_buffer(EpisodeBuffer, one, offset) for one in episodes.each)


def _buffer(kind: Any, one: Episode, offset: int) -> Any:
    last = np.arange(len(one.actions)) == len(one.actions) - 1
    return kind(
        seed=one.seed, observations=one.frames, actions=one.actions + offset, rewards=one.rewards.tolist(),
        terminations=(last & one.terminated).tolist(), truncations=(last & one.truncated).tolist(),
    )  # fmt: skip


def load_minari(data: StrPath) -> Episodes:
    """Read a Minari dataset: a folder, or the id of one on this machine.

    Raises:
        UserError: for no such dataset, actions that are not discrete, and observations without numbers.
    """
    dataset = _open(data)
    space, actions = dataset.observation_space, dataset.action_space
    if not isinstance(actions, spaces.Discrete):
        raise UserError(f"{data}: a Minari dataset whose actions are {actions}; only discrete actions can be learned from, so give another")
    metadata = dataset.storage.metadata
    about = json.loads(metadata[ABOUT]) if ABOUT in metadata else _foreign(dataset, metadata)
    kept = _numbers(space, str(data))
    offset = int(actions.start)
    which = dataset.episode_indices
    each = zip(dataset.storage.get_episodes(which), dataset.storage.get_episode_metadata(which), strict=True)
    found = tuple(_cut(_episode(one, about_it.get("seed"), kept, offset, str(data)) for one, about_it in each))
    if not found:
        raise UserError(f"{data}: a Minari dataset without a transition; gather some")
    notes = _notes(dataset, space)
    real, dropped = _without_false_starts(found)
    if dropped:
        notes.append(
            f"{dropped} transitions lead from the end of an episode to the start of the next with reward 0, as an autoreset while it was collected makes them: "
            "left out"
        )
    return Episodes(real, int(actions.n), {**about, **({"notes": [*about.get("notes", []), *notes]} if notes else {})})


def _open(data: StrPath) -> Any:
    import minari

    path = Path(data)
    place = next((at for at in (path, path / "data") if (at / "metadata.json").is_file()), None)
    try:
        if place is not None:
            return minari.MinariDataset(place)
        if path.exists():
            raise UserError(f"{data}: no Minari dataset; give a folder that `crar gather --env` wrote, or the id of a dataset")
        return minari.load_dataset(str(data), download=False)
    except ImportError as error:
        raise UserError(f"{data}: {error}") from error
    except UserError:
        raise
    except Exception as error:  # damaged files end in any error of the readers'
        raise UserError(f"{data}: no Minari dataset that can be read ({type(error).__name__}: {error}); give another") from error


def _foreign(dataset: Any, metadata: Any) -> dict[str, Any]:
    """What is known of a dataset that others gathered."""
    spec = dataset.env_spec
    title = str(dataset.id) if spec is None else str(spec.id)
    return {
        "title": title, "policy": str(metadata.get("algorithm_name") or "unknown"), "dataset": str(dataset.id),
        "actions": [f"action {number}" for number in range(int(dataset.action_space.n))],
        "limit": getattr(spec, "max_episode_steps", None),
    }  # fmt: skip


def _numbers(space: Any, data: str) -> Any:
    """A function that makes (steps, ...) arrays of what a dataset observed."""
    if isinstance(space, spaces.Box):
        return np.asarray
    own: Any = space
    if isinstance(space, spaces.Dict):
        left = wordy(space)
        own = spaces.Dict({key: value for key, value in space.items() if key not in left})
    if flattenable(own) and not (isinstance(own, spaces.Dict) and not own.spaces):
        return lambda seen: np.stack([cast(Array, spaces.flatten(own, _step(own, seen, k))) for k in range(_steps(own, seen))])
    raise UserError(f"{data}: a Minari dataset whose observations are {type(space).__name__}, which are no array of numbers; give another")


def _step(space: Any, seen: Any, k: int) -> Any:
    """One of the observations of an episode, whose parts are arrays over its steps."""
    if isinstance(space, spaces.Dict):
        return {key: _step(part, seen[key], k) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_step(part, own, k) for part, own in zip(space, seen, strict=True))
    return seen[k]


def _steps(space: Any, seen: Any) -> int:
    """How many observations an episode has."""
    if isinstance(space, spaces.Dict):
        key = next(iter(space))
        return _steps(space[key], seen[key])
    return _steps(space[0], seen[0]) if isinstance(space, spaces.Tuple) else len(seen)


def _episode(one: Any, seed: int | None, numbers: Any, offset: int, data: str) -> Episode:
    frames, actions = numbers(one["observations"]), np.asarray(one["actions"], dtype=np.int64).reshape(-1) - offset
    rewards = np.asarray(one["rewards"], dtype=np.float64).reshape(-1)
    if len(frames) != len(actions) + 1:
        raise UserError(
            f"{data}: episode {one['id']} has {len(frames)} observations of {len(actions)} steps; there is one more of them than steps"
        )
    for what, values in (("observations", frames), ("rewards", rewards)):
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise UserError(f"{data}: episode {one['id']} has {what} that are not finite (NaN or infinite); leave it out of the dataset")
    ends = np.flatnonzero(np.asarray(one["terminations"], dtype=np.bool_))
    if len(ends) and ends[0] != len(actions) - 1:
        raise UserError(f"{data}: episode {one['id']} goes on after its end at step {ends[0]}; give a dataset with one episode each")
    terminated = bool(len(ends))
    return Episode(frames, actions, rewards, terminated, not terminated, seed)


def _cut(episodes: Iterable[Episode]) -> Iterable[Episode]:
    """Episodes with a step."""
    return (one for one in episodes if len(one.actions))


def _notes(dataset: Any, space: Any) -> list[str]:
    """What one should know of a dataset."""
    notes = [left_out(space)] if isinstance(space, spaces.Dict) and wordy(space) else []
    jpeg = bool(dataset.storage.metadata.get("jpeg_encoding", True))
    bytes_of = isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
    if jpeg and bytes_of and min(space.shape[:2]) >= AS_JPEG:
        notes.append(
            "observations were stored as JPEG, which changes their values: states that are one may differ, and codes of objects are not what they were"
        )
    if parts := list(dataset.combined_datasets):
        notes.append(f"combined by Minari of {' and '.join(parts)}: what a filter or a split had left out of them is in it again")
    return notes


def _without_false_starts(found: tuple[Episode, ...]) -> tuple[tuple[Episode, ...], int]:
    """Episodes without a first transition that an autoreset inside the collector made, and how many of these there were.

    Such a dataset begins every episode but the first where the last one ended, and its first action did nothing: reward 0, and then the start. A task that goes on
    over its cuts begins episodes there, too; then most first moves that are met again lead where they lead elsewhere, or, where none is, go less far than the longest others.
    """
    pairs = list(pairwise(found))
    joined = [np.array_equal(before.frames[-1], after.frames[0]) and after.rewards[0] == 0 for before, after in pairs]
    ends = {before.frames[-1].tobytes() for before, _ in pairs}
    if (
        not pairs
        or not all(joined)
        or found[0].frames[0].tobytes() in ends
        or not all(before.terminated or before.truncated for before, _ in pairs)
    ):
        return found, 0
    if _as_elsewhere(found):
        return found, 0
    own = [Episode(one.frames[1:], one.actions[1:], one.rewards[1:], one.terminated, one.truncated, None) for one in found[1:]]
    return (found[0], *_cut(own)), len(own)


def _as_elsewhere(found: tuple[Episode, ...]) -> bool:
    """Whether the first moves of episodes but the first lead, in most cases where they are met again, where they lead elsewhere."""
    first = {(one.frames[0].tobytes(), int(one.actions[0])) for one in found[1:]}
    elsewhere: dict[tuple[bytes, int], set[bytes]] = {}
    for number, one in enumerate(found):
        keys = [frame.tobytes() for frame in one.frames]
        for step in range(number > 0, len(one.actions)):
            if (move := (keys[step], int(one.actions[step]))) in first:
                elsewhere.setdefault(move, set()).add(keys[step + 1])
    again = [one for one in found[1:] if (one.frames[0].tobytes(), int(one.actions[0])) in elsewhere]
    if not again:  # numbers that never come back: a reset jumps further than a move
        jumps = [float(np.linalg.norm(np.subtract(one.frames[1], one.frames[0], dtype=np.float64))) for one in found[1:]]
        steps = [np.linalg.norm(np.diff(one.frames.reshape(len(one.frames), -1).astype(np.float64)[1:], axis=0), axis=1) for one in found]
        moves = np.concatenate(steps)
        return bool(len(moves) and np.median(jumps) < np.quantile(moves, USUAL_MOVE))
    same = sum(one.frames[1].tobytes() in elsewhere[one.frames[0].tobytes(), int(one.actions[0])] for one in again)
    return 2 * same > len(again)
