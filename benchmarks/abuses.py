"""Random bad inputs over all commands: none may end in a traceback, and each ends with exit code 2, or 0 where it was no bad input after all.

    python -m benchmarks.abuses --seed 0 --count 300 --out runs/abuses

Flags, their types and their ranges come from the commands themselves. A case is a small valid call with one or two things made bad: a value of any
flag, a file or folder of any path (missing, empty, cut short, foreign, of another kind), flags that contradict each other, what --config says, and
where --out lies. It runs in a process of its own with limits on memory and time. Prints every case that ends otherwise, with the command to
repeat; OUT/abuses.json has all of them. What is still at work after --limit seconds was taken as a valid input.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import shlex
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import typer

from benchmarks.abused_files import BAD_FILES, spoil, world
from cli import app, main
from crar_model.core.files import write_text

GIGABYTES = 12
"""Address space of a case; PyTorch alone takes a part of it."""
DOCUMENTED = (0, 1, 2, 130)
VALUES: dict[type, tuple[str, ...]] = {
    int: ("-1", "0", "1", "x", "", "1.5", "1e3", "99999999999999999999", "1000000000000", "nan", "-0", "0x10", "٣"),
    float: ("-1", "0", "x", "", "nan", "inf", "-inf", "1e300", "5", "1e-300", "0,5", "1e400"),
    str: ("", " ", "nonsense", "x,y", "../../x", "a\nb", "--json", "é" * 300, "dynamics,dynamics", "cuda:99", "tcp://nowhere:1"),
}
"""What is tried as a value of a flag, by its type."""
OUTS = ("/dev/full", "/dev/null", "/proc/nowhere/x", "FILE/below", "a" * 300, "FILE", "FULL", "\udcff", "", "KIND", "x\ny")
"""Where --out may lie; FILE is a file, FULL a folder with something in it, KIND what another command wrote."""
STARTS: dict[str, str] = {
    "version": "",
    "train": "--members 1 --updates 4 --data-size 20 --workers 1 --out {out}",
    "transfer": "--from {base} --members 1 --updates 4 --data-size 20 --workers 1 --out {out}",
    "study": "{study} --dry-run --out {out}",
    "verdicts": "--claims {claims} --out {out}",
    "evaluate": "{run}",
    "landscape": "--from {failed} --to {base} --quick --points 2 --resolution 2 --no-certificate --out {out}",
    "cure": "--from {failed} --base {base} --to {base} --method noise --starts 1 --effort 0.001 --out {out}",
    "predict": "{base} --resolution 9 --out {out}",
    "maps": "--transfer {transfer} --cures {cures} --out {out}",
    "compare": "{transfer} --out {out}",
    "escape": "--from {failed} --to {base} --seeds 1 --updates 2 --checks 1 --out {out}",
    "claims": "--transfer {transfer} --quick --out {out}",
    "theorem": "--from {failed} --to {base} --out {out}",
    "trajectory": "{run} --resolution 2 --out {out}",
    "report": "--base {run} --transfer {transfer} --out {out}",
    "play": "{random} --out {out}.gif",
    "gather": "--size 50 --out {out}.npz",
    "import": "{network} --maze simple --out {out}.pt",
    "demo": "--out {out}",
    "explain": "{first} {second} --model benchmarks.abused_files:network --data benchmarks.abused_files:batch --evaluations 60 --out {out}.html",
}
"""A small valid call of every command; {name} is a file or folder of :func:`benchmarks.abused_files.world`."""
GOES_ON = {
    "train": "run",
    "transfer": "transfer",
    "study": "done",
    "cure": "cures",
    "claims": "claims",
    "escape": "escape",
    "report": "run",
}
"""Commands that go on in what they wrote before, and such a folder."""
LOADED = (
    "crar_model.training.runner",
    "crar_reports.pages.escape.one",
    "crar_reports.pages.claims",
    "crar_reports.pages.predict",
    "crar_reports.pages.report",
)
"""What most commands load."""


def commands() -> dict[str, Any]:
    """Every command with its flags and arguments, as Typer has them."""
    found: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    if missing := set(found) - set(STARTS):
        raise SystemExit(f"no small call is known of {', '.join(missing)}; add it to STARTS")
    return found


def kind_of(param: Any) -> type:
    """The type of one value of a flag; str for a choice."""
    annotation = param.type_descriptor.annotation
    kind = (get_args(annotation) or (annotation,))[0]
    return next((each for each in (Path, bool, int, float) if isinstance(kind, type) and issubclass(kind, each)), str)


def bad_value(param: Any, paths: dict[str, Path], rng: random.Random, scratch: Path) -> str:
    """Something that a flag or an argument probably does not take."""
    kind = kind_of(param)
    if kind is Path:
        if param.opts[0] in ("--out", "--csv", "--archive") and rng.random() < 0.7:
            word = rng.choice(OUTS).replace("FULL", str(paths["run"])).replace("FILE", str(paths["study"]))
            return str(rng.choice([paths["cures"], paths["claims"], paths["run"]])) if word == "KIND" else word
        name = rng.choice(list(paths))
        return str(paths[name]) if rng.random() < 0.3 else str(spoil(paths[name], rng.choice(list(BAD_FILES)), rng, scratch))
    if kind is str and param.opts[0] in ("--walls", "--data") and rng.random() < 0.8:
        return str(spoil(paths[rng.choice(("walls", "walk", "study"))], rng.choice(list(BAD_FILES)), rng, scratch))
    return rng.choice(VALUES[kind])


def case(rng: random.Random, found: dict[str, Any], paths: dict[str, Path], scratch: Path) -> list[str]:
    """The words of one abuse."""
    name = rng.choice([name for name in found if name != "version"])
    out = scratch / f"out-{rng.randrange(1 << 40):x}"
    used = dict(paths)
    abuses = rng.choices(("value", "file", "both"), (4, 4, 1))[0]
    fields = [field for field in paths if f"{{{field}}}" in STARTS[name]]
    if abuses != "value" and fields:
        victim = rng.choice(fields)
        used[victim] = spoil(paths[victim], rng.choice(list(BAD_FILES)), rng, scratch)
    else:
        abuses = "value"
    words = [name, *(word.format(out=out, **used) for word in STARTS[name].split())]
    params = [param for param in found[name].params if param.name != "help" and param.param_type_name == "option"]
    for param in rng.sample(params, k=min(len(params), rng.choice((1, 1, 2, 3)))) if abuses != "file" else []:
        if param.is_flag:
            words.append(rng.choice([*param.opts, *param.secondary_opts]))
        else:
            flag = param.opts[0]
            if flag in words and rng.random() < 0.8:  # in the place of the small one; else given twice
                del words[words.index(flag) : words.index(flag) + 2]
            words += [flag, bad_value(param, paths, rng, scratch)]
    flags = {opt for param in params for opt in param.opts}
    if "--out" in words and words[0] in GOES_ON and rng.random() < 0.35:  # a folder of its own kind that was damaged
        folder = spoil(paths[GOES_ON[name]], rng.choice(list(BAD_FILES)), rng, scratch)
        words = [str(folder) if word == str(out) else word for word in words if word != "--dry-run"]
    if flags & {"--resume", "--force"} and (rng.random() < 0.15 or str(out) not in " ".join(words)):
        words.append(rng.choice(sorted(flags & {"--resume", "--force"})))
    return words


def run(words: Sequence[str], limit: float, log: Path) -> int | None:
    """Exit code of a command in a forked process, 70 for an error that nothing caught; None where it was still at work after `limit` seconds."""
    child = os.fork()
    if child == 0:
        os.setsid()
        with log.open("wb") as stream:
            for number in (1, 2):
                os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", errors="backslashreplace", closefd=False)
        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, GIGABYTES << 30))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
        os.chdir(log.parent)
        sys.argv = ["crar", *words]
        code = 70
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def complaint(code: int | None, said: str) -> str:
    """What is wrong with how a case ended; "" for nothing."""
    if "Traceback (most recent call last)" in said:
        return "a traceback"
    if code is None:
        return ""
    if code not in DOCUMENTED:
        return f"exit code {code}"
    errors = [line for line in said.splitlines() if line.startswith("crar: error: ")]
    if code == 2 and len(errors) != 1:
        return f"exit code 2 and {len(errors)} lines of error"
    if code == 2 and said.strip().splitlines()[-1] != errors[0]:
        return "an error of more than one line"
    return f"exit code 1: {said.strip().splitlines()[-1] if said.strip() else 'without a word'}" if code == 1 else ""


def run_cases(seed: int, count: int, limit: float, out: Path, only: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Run `count` cases; returns them with how they ended."""
    rng, found = random.Random(seed), commands()
    for name in LOADED:  # once here, and not in every process
        importlib.import_module(name)
    paths, done = world(out / "world"), []
    for number in range(count):
        scratch = out / f"case-{number}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        words = case(rng, found, paths, scratch)
        if not only(words[0]):
            continue
        code = run(words, limit, scratch / "said.txt")
        said = (scratch / "said.txt").read_text(encoding="utf-8", errors="replace")
        wrong = complaint(code, said)
        command = f"cd {shlex.quote(str(scratch))} && {shlex.join(['crar', *words])}"
        done.append({"number": number, "command": command, "code": code, "wrong": wrong, "said": said[-2000:]})
        if wrong:
            print(f"{number}: {wrong}\n  {command!a}\n  {said.strip().splitlines()[-1] if said.strip() else ''!a}", flush=True)
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    return done


def entry() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of a case")
    parser.add_argument("--command", action="append", help="keep to the cases of this command; repeatable")
    parser.add_argument("--out", type=Path, default=Path("runs/abuses"))
    given = parser.parse_args()
    only = set(given.command or ())
    done = run_cases(given.seed, given.count, given.limit, given.out.resolve(), lambda name: not only or name in only)
    write_text(given.out / "abuses.json", json.dumps(done, indent=1) + "\n")
    counts = Counter("at work" if each["code"] is None else f"exit {each['code']}" for each in done)
    wrong = sum(bool(each["wrong"]) for each in done)
    print(f"{len(done)} cases: {', '.join(f'{count} {word}' for word, count in sorted(counts.items()))}; {wrong} wrong")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    entry()
