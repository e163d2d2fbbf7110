"""`crar cure`, `escape`, `claims` and `landscape` under SIGKILLs at random moments, against the same commands undisturbed.

    python -m benchmarks.kills --command cure --command escape --kills 5 --out runs/killed

Each command runs once to its end, then again and again, killed after a random time and resumed, until it ends by itself. Prints, and writes to
OUT/kills.json, how often it was killed and which figures of its results.json differ: none should. Wall-clock times and the command's own words
are no figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.study_kills import quietly
from crar_model import samples
from crar_model.core.files import write_text

PAIR = ["--from", str(samples.FAILED), "--to", str(samples.BASE)]
SMALL: dict[str, list[str]] = {
    "cure": ["--method", "placement", "--method", "noise", *PAIR, "--base", str(samples.BASE), "--starts", "2", "--effort", "0.05", "--resolution", "9"],
    "escape": [*PAIR, "--seeds", "2", "--updates", "200", "--checks", "4", "--rate", "1e-3", "--sgd-rate", "1e-3", "--batch-size", "8"],
    "claims": ["--transfer", "{transfers}", "--quick"],
    "landscape": [*PAIR, "--quick", "--points", "11", "--resolution", "21"],
}  # fmt: skip
"""Flags of each command, small enough to be run many times."""
COST = ("command", "profile", "path", "transfer", "base")
"""Parts of a results.json that are no figures."""


def flags_of(command: str, scratch: Path) -> list[str]:
    """The small flags of a command, with what they need made."""
    if command == "claims" and not (scratch / "transfers").exists():
        words = ["-m", "cli", "transfer", "--from", str(samples.BASE), "--members", "2", "--updates", "20", "--workers", "1", "--out"]
        subprocess.run([sys.executable, *words, str(scratch / "transfers")], check=True, capture_output=True)
    return [word.format(transfers=scratch / "transfers") for word in SMALL[command]]


def to_the_end(words: list[str]) -> float:
    """Seconds that a command takes; one that fails ends the benchmark with what it said."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "cli", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"crar {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return time.monotonic() - began


def under_fire(words: list[str], kills: int, about: float, rng: random.Random) -> int:
    """Run a command to its end, killed up to `kills` times, each after a part of `about` seconds; returns how often it was.

    Every call but the first has --resume where the one before had begun to write.
    """
    out, killed = Path(words[words.index("--out") + 1]), 0
    while killed < kills:
        process = quietly([sys.executable, "-m", "cli", *words, *(["--resume"] if out.exists() else [])])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.05, 0.6) * about)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        killed += 1
    to_the_end([*words, *(["--resume"] if out.exists() else [])])
    return killed


def differing(a: Any, b: Any, where: str = "") -> list[str]:
    """Places at which two plain results differ, but for :data:`COST` and times."""
    if isinstance(a, dict) and isinstance(b, dict):
        names = [name for name in {**a, **b} if name not in COST and "seconds" not in name]
        return [found for name in names for found in differing(a.get(name), b.get(name), f"{where}.{name}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [found for k, pair in enumerate(zip(a, b, strict=True)) for found in differing(*pair, f"{where}[{k}]")]
    return [] if json.dumps(a) == json.dumps(b) else [f"{where.lstrip('.')}: {a!r} and {b!r}"]  # NaN is itself


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", action="append", choices=list(SMALL), help="repeatable; all of them where left out")
    parser.add_argument("--kills", type=int, default=5, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rng, found = random.Random(given.seed), {}
    for command in given.command or SMALL:
        flags = flags_of(command, given.out)
        calm, torn = given.out / f"{command}-calm", given.out / f"{command}-torn"
        seconds = to_the_end([command, *flags, "--out", str(calm)])
        killed = under_fire([command, *flags, "--out", str(torn)], given.kills, seconds, rng)
        results = [json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (calm, torn)]
        found[command] = {"seconds undisturbed": seconds, "killed": killed, "differing": differing(*results)}
        print(json.dumps({command: found[command]}, indent=1), flush=True)
    write_text(given.out / "kills.json", json.dumps({"seed": given.seed, **found}, indent=1) + "\n")
    raise SystemExit(any(each["differing"] for each in found.values()))


if __name__ == "__main__":
    main()
