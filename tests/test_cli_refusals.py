"""Bad input at the command line is one line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from crar_model.core.tensor_files import save_plain
from crar_model.models.checkpoints import FORMAT
from tests.test_cli import crar


def bad_cases(folder: Path, base: Path, run: Path, random: Path) -> dict[str, tuple[list[object], str]]:
    whole = base.read_bytes()
    (folder / "cut.pt").write_bytes(whole[:1000])
    torch.save({"a": torch.zeros(1)}, folder / "foreign.pt")
    (folder / "note.pt").write_text("hello")
    (folder / "bad.toml").write_text("updates = = 3")
    (folder / "odd.toml").write_text("colour = 3")
    content = torch.load(base, weights_only=True)
    save_plain(folder / "other.pt", FORMAT, content | {"maze": "random"})
    save_plain(folder / "mazeless.pt", FORMAT, {k: v for k, v in content.items() if k not in ("maze", "inverse")})
    torch.save(content | {"updates": 61}, folder / "edited.pt")
    np.savez(folder / "net.npz", p00=np.zeros((64, 200)), p01=np.zeros(200))
    out = ["--out", folder / "out"]
    (folder / "old" / "run").mkdir(parents=True)
    (folder / "old" / "run" / "run.json").write_text('{"format": "crar-run"}')
    (folder / "verdict").mkdir()
    (folder / "verdict" / "results.json").write_text('{"study": "s", "pairs": [1, 2]}')
    (folder / "claimed").mkdir()
    (folder / "claimed" / "results.json").write_text('{"maze": "simple", "pairs": [{"base": "b", "transfer": "t"}]}')
    (folder / "study.toml").write_text('name = "s"\n[[bases]]\nname = "b"\nmaze = "simple"\nupdates = 2.5\n')
    no_words = {
        f"{command} without a word": ([command], "Missing") for command in ("evaluate", "trajectory", "import", "study", "train", "report")
    }
    others = {
        f"{command} gone on with in the folder of a run": ([command, "--resume", "--out", run], "crar train")
        for command in ("cure", "escape", "demo")
    }
    return {
        **no_words,
        **others,
        "claims gone on with in the folder of a run": (["claims", "--transfer", run, "--resume", "--out", run], "crar train"),
        "verdicts of nothing": (["verdicts", *out], "--study"),
        "verdicts of half a study": (["verdicts", "--study", folder / "verdict", *out], "results.json"),
        "verdicts of half claims": (["verdicts", "--claims", folder / "verdict", *out], "results.json"),
        "verdicts of claims without figures": (["verdicts", "--claims", folder / "claimed", *out], "damaged"),
        "a study in the folder of a run": (["study", "studies/quick.toml", "--out", run], "choose an empty or new --out"),
        "half an update in a study": (["study", folder / "study.toml", *out], "a whole number"),
        "half a record": (["report", "--base", folder / "old" / "run", "--transfer", run, *out], "holds no checkpoint"),
        "half a record to resume": (["train", "--resume", "--out", folder / "old" / "run"], "missing required field `variant`"),
        "fewer updates than were taken": (["train", "--resume", "--updates", 20, "--log-interval", 20, "--out", run], "has taken 60"),
        "one base twice": (["transfer", "--from", base, "--from", base, *out], "counted as two bases"),
        "one rate twice": (["transfer", "--from", base, "--rate", 1e-3, "--rate", 1e-3, *out], "names 0.001 twice"),
        "a folder as the base of an escape": (["escape", "--from", base, "--to", run, *out], "folder"),
        "too few arrays": (["import", folder / "net.npz", "--maze", "simple", "--out", folder / "net.pt"], "holds 2 arrays"),
        "arrays without a maze": (["import", folder / "net.npz", "--out", folder / "net.pt"], "--maze"),
        "arrays of an unknown maze": (["import", folder / "net.npz", "--maze", "round", "--out", folder / "net.pt"], "--maze"),
        "arrays into another kind of file": (["import", folder / "net.npz", "--maze", "simple", *out], ".pt"),
        "no arrays": (["import", folder / "note.pt", "--maze", "simple", "--out", folder / "net.pt"], "note.pt"),
        "missing checkpoint": (["evaluate", folder / "none.pt"], "none.pt"),
        "truncated checkpoint": (["evaluate", folder / "cut.pt"], "cut.pt"),
        "checkpoint that is not what was written": (["evaluate", folder / "edited.pt"], "digest"),
        "foreign checkpoint": (["transfer", "--from", folder / "foreign.pt", *out], "foreign.pt"),
        "wrong format": (["landscape", "--from", folder / "note.pt", "--to", base, *out], "note.pt"),
        "unknown variant": (["transfer", "--from", base, "--variant", "freezer", *out], "--variant"),
        "base of another maze": (["transfer", "--from", folder / "other.pt", *out], "other.pt"),
        "base of another maze in evaluate": (["evaluate", base, "--base", folder / "other.pt"], "other.pt"),
        "no members": (["train", "--members", 0, *out], "--members"),
        "nan learning rate": (["train", "--learning-rate", "nan", *out], "--learning-rate"),
        "nan rate": (["transfer", "--from", base, "--rate", "nan", *out], "nan"),
        "not a number": (["train", "--members", "many", *out], "--members"),
        "unknown flag": (["train", "--memberz", 3, *out], "--memberz"),
        "unknown command": (["trian"], "trian"),
        "missing flag": (["train"], "--out"),
        "folder of another run": (["train", "--out", run], "--resume"),
        "another run to resume": (["transfer", "--from", base, "--resume", "--out", run], "differs in"),
        "other members to resume": (["train", "--resume", "--members", 5, "--out", run], "--members"),
        "nothing to resume": (["train", "--resume", *out], "run.json"),
        "empty folder": (["evaluate", folder], "no member"),
        "no such device": (["train", "--device", "tpu", *out], "--device"),
        "no gpu": (["train", "--device", "cuda", *out], "--device"),
        "damaged settings": (["train", "--config", folder / "bad.toml", *out], "bad.toml"),
        "unknown setting": (["train", "--config", folder / "odd.toml", *out], "colour"),
        "missing settings": (["train", "--config", folder / "no.toml", *out], "no.toml"),
        "same model twice": (["landscape", "--from", base, "--to", base, *out], "already"),
        "checkpoint without maze": (["landscape", "--from", folder / "mazeless.pt", *out], "--from-maze"),
        "unknown side of a maze": (["landscape", "--from", folder / "mazeless.pt", "--from-maze", "simple-odd", *out], "--from-maze"),
        "too few points": (["landscape", "--points", 1, *out], "--points"),
        "a surface of one point": (["landscape", "--resolution", 1, *out], "--resolution"),
        "unknown block": (["landscape", "--blocks", "transition,rewards", *out], "rewards"),
        "the encoder as a block of the dynamics": (["landscape", "--blocks", "encoder", *out], "--blocks"),
        "unknown term": (["landscape", "--terms", "balls", *out], "balls"),
        "no term": (["landscape", "--terms", ",", *out], "--terms"),
        "unknown space": (["landscape", "--space", "image", *out], "--space"),
        "unknown format": (["landscape", "--format", "pdf", *out], "--format"),
        "unknown format of the theorem": (["theorem", "--format", "pdf", *out], "--format"),
        "a base in the place of a transfer": (["landscape", "--from", base, *out], "a base model"),
        "a base is no transfer": (["claims", "--transfer", run, *out], "names no base"),
        "a run without snapshots": (["trajectory", run, *out], "--snapshots"),
        "planning depth below 0": (["evaluate", random, "--planning-depth", -1], "--planning-depth"),
        "planning depth below 0 in training": (["train", "--maze", "random", "--planning-depth", -2, *out], "--planning-depth"),
        "planning depth below 0 in a report": (
            ["report", "--base", run, "--transfer", run, "--planning-depth", -1, *out],
            "--planning-depth",
        ),
        "planning depth below 0 in play": (["play", random, "--planning-depth", -1, "--out", folder / "e.gif"], "--planning-depth"),
        "a film of another kind": (["play", random, "--out", folder / "e.mov"], ".gif"),
        "a film to a wall": (["play", base, "--goal", "0,0", "--out", folder / "e.gif"], "no free cell at row 0, column 0"),
        "a film of two mazes": (["play", "--from", base, "--from", random, "--out", folder / "e.gif"], "give models of one maze"),
        "a simple base for the random mazes": (["transfer", "--maze", "random", "--from", base, *out], "member-0.pt"),
        "a random base for the simple maze": (["transfer", "--maze", "simple", "--from", random, *out], "member-0.pt"),
        "a random base in a landscape of the simple maze": (["landscape", "--from", base, "--to", random, *out], "two of one maze"),
        "a random model in an escape": (["escape", "--from", random, "--to", random, *out], "this command takes"),
        "a random model in a theorem of the simple maze": (["theorem", "--from", base, "--to", random, *out], "two of one maze"),
        "no transitions to descend on": (["theorem", "--sample", 0, *out], "--sample"),
        "a landscape cut short and long": (["landscape", "--quick", "--full", *out], "--full"),
        "two mazes judged at once": (["evaluate", random, base, "--episodes", 1], "judge them apart"),
        "unknown maze": (["train", "--maze", "round", *out], "--maze"),
        "no episodes": (["evaluate", random, "--episodes", 0], "--episodes"),
        "unknown protocol": (["evaluate", random, "--protocol", "mine"], "--protocol"),
        "luck out of range": (["evaluate", random, "--epsilon", 1.5], "--epsilon"),
        "luck out of range in training": (["train", "--maze", "random", "--epsilon", -0.5, *out], "--epsilon"),
        "a walk of another kind": (["gather", "--out", folder / "walk.csv"], ".npz"),
        "two sources of data": (
            ["train", "--maze", "random", "--data", folder / "walk.npz", "--data-size", 9, "--out", folder / "x"],
            "--data-size",
        ),
        "no transitions": (["gather", "--size", 0, "--out", folder / "walk.npz"], "--size"),
        "report without runs": (["report", "--base", folder / "nowhere", "--transfer", run, *out], "nowhere"),
        "unwritable output": (["train", "--updates", 1, "--out", folder / "note.pt" / "run"], "note.pt"),
    }


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, base_run: Path, random_base: Path) -> None:
    cases = bad_cases(tmp_path, base_run / "member-0.pt", base_run, random_base / "member-0.pt")
    if torch.cuda.is_available():
        del cases["no gpu"]  # not an error there
    for name, (words, hint) in cases.items():
        done = crar(*words)
        errors = done.stderr
        assert done.returncode == 2, (name, errors)
        assert errors.startswith("crar: error: "), (name, errors)
        assert len(errors.strip().splitlines()) == 1, (name, errors)
        assert hint in errors, (name, errors)
