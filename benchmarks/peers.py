"""Planes, ends of the spectrum and their memory on ordinary networks, beside a plain loop and a peer.

    python -m benchmarks.peers [--models mlp cnn resnet transformer] [--side 25] [--turns 3] [--peers] [--out FILE]

Every figure is processor time of one thread in float32, the best of the turns; in a turn all tools do the same plane one after the other, in every
second turn backwards. The plain loop keeps the base of a row and adds the other direction into the module's own weights, as one writes it by hand. With
`--peers` each peer is installed, pinned, into an environment of its own under the user's cache, which needs the network once, and draws the same model's
plane there, between two runs of ours; without it the table has ours and the plain loop alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
PLACE = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "crar-peers"
PINNED = {"loss-landscapes": ("loss-landscapes==3.0.6", "torch==2.13.0")}
"""Peer -> what is installed for it."""
OURS, PLAIN = "landscape_tools", "plain loop"
F = nn.functional
Work = Callable[[], Any]


class Block(nn.Module):
    """Two 3x3 convolutions with a way around them (He et al. 2016)."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        changes = stride > 1 or into != out
        self.around = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, into, h, w) -> (n, out, h / stride, w / stride)."""
        return F.relu(self.body(x) + self.around(x))


class Sequences(nn.Module):
    """Two layers of attention over 16 steps."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.inward, self.head = nn.Linear(8, 64), nn.Linear(64, 10)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 16, 8) -> (n, 10)."""
        found: Tensor = self.head(self.layers(self.inward(x)).mean(1))
        return found


def mlp() -> nn.Module:
    """50,610 parameters."""
    return nn.Sequential(nn.Linear(242, 200), nn.Tanh(), nn.Linear(200, 10))


def cnn() -> nn.Module:
    """Two convolutions with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def resnet() -> nn.Module:
    """ResNet-18 with the stem for small images: 11.2 million parameters."""
    widths = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1))
    stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
    return nn.Sequential(*stem, *(Block(*width) for width in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (500, 242)),
    "cnn": (cnn, (64, 3, 16, 16)),
    "resnet": (resnet, (64, 3, 32, 32)),
    "transformer": (Sequences, (32, 16, 8)),
}
"""Name -> maker and the shape of its inputs."""


def made(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A model in evaluation mode with inputs and classes, the same for every tool."""
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, x = make(), torch.randn(shape)
    return model.eval(), x, torch.randint(10, (len(x),))


def drawn(model: nn.Module) -> list[dict[str, Tensor]]:
    """Two random directions, each tensor a tenth as long as the model's, the same for every tool that takes directions."""
    generator = torch.Generator().manual_seed(1)

    def one(value: Tensor) -> Tensor:
        raw = torch.randn(value.shape, generator=generator)
        return raw * (0.1 * float(value.detach().norm()) / float(raw.norm()))

    return [{name: one(value) for name, value in model.named_parameters()} for _ in range(2)]


def plain(name: str, side: int) -> Work:
    """The loop that one writes by hand."""
    model, x, y = made(name)
    first, second = drawn(model)
    own, axis = dict(model.named_parameters()), torch.linspace(-1, 1, side).tolist()

    def work() -> Any:
        out = []
        with torch.no_grad():
            origin = {n: value.clone() for n, value in own.items()}
            for b in axis:
                base = {n: torch.add(value, second[n], alpha=b) for n, value in origin.items()}
                for a in axis:
                    for n, value in own.items():
                        torch.add(base[n], first[n], alpha=a, out=value.data)
                    out.append(float(F.cross_entropy(model(x), y)))
            for n, value in own.items():
                value.copy_(origin[n])
        return out

    return work


def ours(name: str, side: int) -> Work:
    """`sample_plane` as its users call it, the making of the loss included."""
    import landscape_tools as lt

    model, x, y = made(name)
    first, second = drawn(model)
    axis = torch.linspace(-1, 1, side)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        return lt.sample_plane(loss, loss.point, first, second, axis, axis)["loss"].values.ravel().tolist()

    return work


def ends(name: str, side: int) -> Work:
    """Both ends of the Hessian's spectrum; `side` does not matter."""
    import landscape_tools as lt

    model, x, y = made(name)

    def work() -> Any:
        loss = lt.module_loss(model, F.cross_entropy, x, y)
        vector = lt.flatten(lt.trainable(loss.point))
        product = lt.hessian_product(lambda v: loss({**loss.point, **lt.unflatten(v, lt.trainable(loss.point))}), vector)
        found = lt.extreme_eigenvalues(lambda v: product(v.to(vector)), len(vector), tolerance=1e-4)
        return [float(found.lowest[0]), float(found.highest[-1]), found.products]

    return work


def loss_landscapes(name: str, side: int) -> Work:
    """loss-landscapes' planar interpolation, which takes three models and draws no point at 0."""
    import loss_landscapes as peer
    import loss_landscapes.metrics

    model, x, y = made(name)
    start, *others = [made(name)[0] for _ in range(3)]
    for other, direction in zip(others, drawn(model), strict=True):
        for n, value in other.named_parameters():
            value.data.add_(direction[n])
    metric = loss_landscapes.metrics.Loss(F.cross_entropy, x, y)
    return lambda: peer.planar_interpolation(start, *others, metric, side, deepcopy_model=False)


TOOLS: dict[str, Callable[[str, int], Work]] = {PLAIN: plain, OURS: ours, "ends": ends, "loss-landscapes": loss_landscapes}


def environment(peer: str) -> Path:
    """The Python of a peer's own environment, made and filled the first time."""
    folder = PLACE / peer
    python = folder / "bin" / "python"
    if not (folder / "filled").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINNED[peer]], check=True)
        (folder / "filled").touch()
    return python


def measured(tool: str, model: str, side: int) -> dict[str, Any]:
    """One run of a tool in a process of its own: `seconds` of processor time, `peak_mib` of memory, `values`; or `error`, a line."""
    python = str(environment(tool)) if tool in PINNED else sys.executable
    command = [python, "-W", "ignore", str(Path(__file__).resolve()), "--run", tool, "--models", model, "--side", str(side)]
    surrounding = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=surrounding, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": next(iter(done.stderr.strip().splitlines()[::-1]), "it failed")}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(tool: str, model: str, side: int) -> None:
    """Measure in this process and print it as one line of JSON."""
    torch.set_num_threads(1)
    TOOLS[tool](model, 3)()  # what is made once: kernels, caches
    work = TOOLS[tool](model, side)
    began = time.process_time()
    values = work()
    seconds = time.process_time() - began
    plane = values if isinstance(values, list) else []
    print(json.dumps({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "values": plane}))


def main() -> None:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--side", type=int, default=25)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", choices=TOOLS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(chosen.run, chosen.models[0], chosen.side)
        return
    tools = [PLAIN, OURS, *(PINNED if chosen.peers else ())]
    lines = [
        f"| plane {chosen.side} x {chosen.side} | tool | processor s | of the plain loop's speed | peak MiB |",
        "|---|---|---|---|---|",
    ]
    for model in chosen.models:
        best: dict[str, dict[str, Any]] = {}
        for turn in range(chosen.turns):
            for tool in tools[:: -1 if turn % 2 else 1]:
                found = measured(tool, model, chosen.side)
                if tool not in best or found.get("seconds", float("inf")) < best[tool].get("seconds", float("inf")):
                    best[tool] = found
        for tool, found in best.items():
            if "error" in found:
                lines.append(f"| {model} | {tool} | did not run: {found['error']} | | |")
                continue
            speed = best[PLAIN].get("seconds", float("nan")) / found["seconds"]
            lines.append(f"| {model} | {tool} | {found['seconds']:.3f} | {speed:.2f} | {found['peak_mib']:.0f} |")
        by_hand, found_values = (torch.tensor(best[tool].get("values", [])) for tool in (PLAIN, OURS))
        same = by_hand.shape == found_values.shape and torch.allclose(by_hand, found_values, rtol=1e-3)
        lines.append(f"| {model} | {'both planes are the same' if same else 'the planes DIFFER'} | | | |")
        found = measured("ends", model, chosen.side)
        words = found.get("error") or f"both ends in {found['values'][2]} products, {found['seconds']:.2f} s, {found['peak_mib']:.0f} MiB"
        lines.append(f"| {model} | {words} | | | |")
    text = "\n".join(lines) + "\n"
    if chosen.out is not None:
        chosen.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
