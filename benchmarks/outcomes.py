"""What transfers of the simple maze come to by the code of two commits: the same bases' seeds, the same transfers, judged beside each other.

    python -m benchmarks.outcomes [--against 6b7a7ec] [--bases 6] [--seeds 6] [--out benchmarks/results]

A change of the last bits leads every single training elsewhere; what must stay is how often transfers come to what.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.against import HERE, trees
from crar_model.core.files import write_text

BASES = "train --members {bases} --updates 14000 --decay-interval 1000 --log-interval 14000 --out base"
TRANSFER = "transfer {sources} --variant freeze --members {seeds} --update-rule {rule} --learning-rate {rate:g} --updates {updates} --log-interval {updates} --out {rule}"
RULES = {"joint": (3e-4, 12_000), "sequential": (8e-5, 3_000)}
"""Learning rate and updates of each rule's transfers."""
VERDICTS = ("matched", "swapped", "neither")


def crar(code: Path, folder: Path, words: str) -> str:
    """What a `crar` command of some code prints, run in a folder."""
    surrounding = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *shlex.split(words)], cwd=folder, env=surrounding, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"crar {words} of {code} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def outcomes(code: Path, bases: int, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """rule -> a row a transfer: base, seed, verdict, residual, transition term, total."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        crar(code, folder, BASES.format(bases=bases))
        sources = " ".join(f"--from base/member-{k}.pt" for k in range(bases))
        for rule, (rate, updates) in RULES.items():
            crar(code, folder, TRANSFER.format(sources=sources, seeds=seeds, rule=rule, rate=rate, updates=updates))
            models = json.loads(crar(code, folder, f"evaluate {rule} --json"))["models"]
            found[rule] = [
                {
                    "base": int(str(model["base"]).split("member-")[1].split(".")[0]), "seed": model["seed"],
                    "verdict": model["match"]["verdict"], "residual": model["match"]["residual_edges"],
                    "transition": model["terms"]["transition"], "total": model["terms"]["total"],
                }
                for model in models
            ]  # fmt: skip
    return found


def table(results: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Counts of every verdict per rule and base, one commit beside the other."""
    commits = list(results)
    lines = [
        f"| rule | base | {' | '.join(f'{commit}: matched, swapped, neither' for commit in commits)} |",
        "|---" * (2 + len(commits)) + "|",
    ]
    for rule in RULES:
        bases: list[int | None] = [*sorted({row["base"] for row in results[commits[0]][rule]}), None]
        for base in bases:
            cells = []
            for commit in commits:
                counts = Counter(row["verdict"] for row in results[commit][rule] if base is None or row["base"] == base)
                cells.append(", ".join(str(counts[verdict]) for verdict in VERDICTS))
            lines.append(f"| {rule} | {'all' if base is None else base} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="6b7a7ec", help="commit to compare with")
    parser.add_argument("--bases", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=6, help="per base and rule")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    with trees((options.against, HERE)) as folders:
        results = {commit if commit != HERE else "now": outcomes(code, options.bases, options.seeds) for commit, code in folders.items()}
    command = f"python -m benchmarks.outcomes --against {options.against} --bases {options.bases} --seeds {options.seeds}"
    text = table(results)
    print(text)
    runs = "\n".join(
        f"- `crar {line}`"
        for line in (
            BASES.format(bases=options.bases),
            *(
                TRANSFER.format(sources="--from base/member-K.pt ...", seeds=options.seeds, rule=rule, rate=rate, updates=updates)
                for rule, (rate, updates) in RULES.items()
            ),
        )
    )
    write_text(options.out / "outcomes.json", json.dumps(results, separators=(",", ":")) + "\n")
    write_text(
        options.out / "outcomes.md", f"# Transfers by the code of two commits\n\n`{command}`: by the code of each\n\n{runs}\n\n{text}\n"
    )


if __name__ == "__main__":
    main()
