"""What the program computes, as hashes: run it before and after a change of structure, and compare.

    python -m benchmarks.fingerprints --out before.json
    python -m benchmarks.fingerprints --out after.json --against before.json

Only the command line is used, so the same script runs on either side of any rearrangement (`PYTHONPATH` names the side).
Parameters are compared to the last bit on one kind of machine; BLAS libraries differ between kinds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

VARIANTS = ("freeze", "reset-encoder", "unfreeze", "omit-ball", "delay-structure", "scratch", "negate-input", "paired")
SMALL = {
    "simple": ["--updates", "300", "--log-interval", "100", "--checkpoint-interval", "150", "--data-size", "1000", "--structure-delay", "100"],
    "random": [
        "--updates", "200", "--log-interval", "100", "--checkpoint-interval", "100", "--data-size", "2000", "--structure-delay", "50",
        "--score-steps", "20", "--score-copies", "1", "--planning-depth", "1",
    ],
}  # fmt: skip


def crar(*words: str) -> str:
    """Run a `crar` command in this process; returns what it printed."""
    import cli

    before, sys.argv = sys.argv, ["crar", *words]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            cli.main()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"crar {' '.join(words)} ended with {stop.code}") from stop
    finally:
        sys.argv = before
    return printed.getvalue()


def of_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def of_file(path: Path) -> str:
    """Hash of the parameters of a checkpoint, whatever else its file says."""
    parameters = torch.load(path, map_location="cpu", weights_only=True)["parameters"]
    return of_bytes(b"".join(name.encode() + parameters[name].numpy().tobytes() for name in sorted(parameters)))


def of_run(folder: Path) -> dict[str, str]:
    files = sorted([*folder.glob("member-*.pt"), *folder.glob("best-*.pt")])
    return {file.stem: of_file(file) for file in files} | {"log": of_bytes((folder / "losses.csv").read_bytes())}


def results(folder: Path) -> Any:
    """A report's `results.json` as plain data, without what a path or a command line says."""
    content = json.loads((folder / "results.json").read_text())

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("command", "path", "transfer", "base_path")}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return plain(content)


def trainings(maze: str) -> Iterator[tuple[str, Any]]:
    for rule in ("joint", "sequential"):
        for workers in ("1", "2"):
            shared = [*SMALL[maze], "--update-rule", rule, "--workers", workers]
            base = Path(f"{maze}-{rule}-{workers}")
            crar("train", "--maze", maze, "--members", "2", *shared, "--out", str(base))
            yield str(base), of_run(base)
            for variant in VARIANTS:
                folder = Path(f"{base}-{variant}")
                crar(
                    "transfer",
                    "--from",
                    str(base / "member-0.pt"),
                    "--variant",
                    variant,
                    "--members",
                    "2",
                    "--paired",
                    "64",
                    *shared,
                    "--out",
                    str(folder),
                )
                yield str(folder), of_run(folder)


def everything(long: bool) -> Iterator[tuple[str, Any]]:
    for maze in SMALL:
        yield from trainings(maze)
    from crar_model import samples

    shipped = [str(samples.FOLDER / name) for name in ("base.pt", "failed.pt")]
    yield "evaluate-simple", json.loads(crar("evaluate", *shipped, "--base", shipped[0], "--json"))["models"]
    yield (
        "evaluate-random",
        json.loads(crar("evaluate", str(samples.FOLDER / "random_base.pt"), "random-joint-1-freeze", "--episodes", "20", "--json"))[
            "models"
        ],
    )
    yield "evaluate-paper", json.loads(crar("evaluate", str(samples.FOLDER / "random_base.pt"), "--protocol", "paper", "--json"))["models"]
    crar(
        "landscape",
        "--quick",
        "--resolution",
        "9",
        "--from",
        "random-joint-1-freeze/member-0.pt",
        "--to",
        "random-joint-1/member-0.pt",
        "--out",
        "random-landscape",
    )
    yield "landscape-random", results(Path("random-landscape"))
    crar(
        "report",
        "--base",
        "random-joint-1",
        "--transfer",
        "random-joint-1-freeze",
        "--transfer",
        "random-joint-1-negate-input",
        "--episodes",
        "10",
        "--planning-depth",
        "1",
        "--out",
        "random-report",
    )
    yield "report-random", results(Path("random-report"))
    crar("report", "--base", "simple-joint-1", "--transfer", "simple-joint-1-freeze", "--out", "simple-report")
    yield "report-simple", of_bytes((Path("simple-report") / "report.md").read_bytes())
    crar("play", "--out", "episode.gif")
    yield "play", of_bytes(Path("episode.gif").read_bytes())
    crar("claims", "--quick", "--transfer", "simple-joint-1-freeze", "--out", "claims")
    yield "claims-simple", results(Path("claims"))
    crar("theorem", "--out", "theorem")
    yield "theorem", results(Path("theorem"))
    often = [word if word != "150" else "50" for word in SMALL["simple"]]  # of the checkpoint interval
    crar("train", *often, "--members", "1", "--snapshots", "--out", "snapshots")
    crar("trajectory", "snapshots", "--resolution", "9", "--out", "trajectory")
    yield "trajectory", of_bytes((Path("trajectory") / "report.md").read_bytes())
    if long:
        crar("landscape", "--out", "landscape")
        yield "landscape-simple", results(Path("landscape"))


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            if key in before and key in after:
                yield from differences(before[key], after[key], f"{where}/{key}")
            else:
                yield f"{where}/{key}: only {'before' if key in before else 'after'}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{where}/{number}")
    elif repr(before) != repr(after):  # NaN is like NaN
        yield f"{where}: {before!r} before, {after!r} after"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--against", type=Path, help="file of an earlier run to compare with")
    parser.add_argument("--short", action="store_true", help="leave the whole landscape of the shipped pair out")
    options = parser.parse_args()
    out = options.out.resolve()
    earlier = json.loads(options.against.read_text()) if options.against else None
    found: dict[str, Any] = {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, value in everything(not options.short):
            found[name] = re.sub(r"nan", "NaN", value) if isinstance(value, str) else value
            out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")  # what is there counts even if the rest fails
            print(f"{time.monotonic() - started:7.1f} s  {name}", file=sys.stderr, flush=True)
    if earlier is not None:
        kept = {name: value for name, value in earlier.items() if name in found}
        lines = list(differences(kept, json.loads(json.dumps(found))))
        print("\n".join(lines) or f"the same bits: {len(kept)} runs and pages")
        sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
