"""One call about two models: its parts are those of the tools, and its advice can come out each way."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import landscape_tools as lt

F = nn.functional
X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = (X.sum(1) > 0).long()


def trained(seed: int, steps: int = 40) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(net(X), Y).backward()
        optimiser.step()
    return net


@pytest.fixture(scope="module")
def found() -> lt.Explanation:
    told: list[str] = []
    result = lt.explain(trained(1), trained(2), (X, Y), iterations=100, evaluations=80, told=told.append)
    assert told[0] == "loss"
    assert told[-1] == "what the plane misses"
    return result


def test_its_parts_are_those_of_the_tools(found: lt.Explanation, tmp_path: Path) -> None:
    one, two = trained(1), trained(2)
    assert (found.loss_a, found.loss_b) == pytest.approx(tuple(float(F.cross_entropy(net(X), Y).detach()) for net in (one, two)))
    loss = lt.module_loss(one, F.cross_entropy, X, Y)
    near = lt.align(lt.state_of(two), lt.state_of(one), lt.chain_of(one), function=loss.outputs)
    line = lt.sample_line(loss, lt.state_of(one), near, points=41)
    np.testing.assert_allclose(found.aligned, line["loss"].values)
    assert found.climbs[1] == pytest.approx(lt.barrier(line, "loss").climb)
    assert found.aligned_distance <= found.distance
    assert found.certificate_a is not None
    assert found.certificate_a.verdict == lt.certify(loss, lt.state_of(one)).verdict
    text = " ".join(found.lines())
    assert "The units of 1 hidden layer were aligned" in text
    assert "Next: " in found.lines()[-1] or "The plane is off" in found.lines()[-1]
    page = found.to_html()
    assert page.count("<img") == 7
    assert not re.search(r'(src|href)="(?!data:)', page)  # it needs nothing else
    found.save(tmp_path / "found")
    assert lt.load(tmp_path / "found").lines() == found.lines()


def test_advice_follows_the_figures(found: lt.Explanation) -> None:
    flat = np.full(41, found.loss_a)
    assert "average the two models" in replace(found, line=flat, aligned=flat).next_steps()[0]
    high = np.concatenate(([found.loss_a], np.full(40, 9.0)))
    assert "more bends" in replace(found, line=high, aligned=high, path=replace(found.path, barrier=5.0)).next_steps()[0]
    assert "along the curve" in replace(found, line=high, aligned=high * np.nan, path=replace(found.path, barrier=0.0)).next_steps()[0]
    assert any("train the first model on" in line for line in replace(found, certificate_a=_verdict(found, "not converged")).next_steps())
    assert not any("train the first" in line for line in replace(found, certificate_a=_verdict(found, "minimum")).next_steps())


def _verdict(found: lt.Explanation, word: str) -> lt.Certificate:
    assert found.certificate_a is not None
    return replace(found.certificate_a, verdict=word, escape=None)


def test_other_models_and_data() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.body(x)
            return out

    torch.manual_seed(0)
    one = Small().double()
    two = copy.deepcopy(one)
    with torch.no_grad():
        two.body.weight.add_(0.5)
    data = torch.utils.data.TensorDataset(X, X[:, :2])
    result = lt.explain(one, two, data, iterations=20, evaluations=60, points=5)
    assert result.loss_a == pytest.approx(float(F.mse_loss(one(X), X[:, :2]).detach()))
    assert np.isnan(result.aligned).all()
    assert "no chain of hidden layers" in result.alignment
    assert lt.chain_of(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))) == []


@pytest.mark.parametrize("kind", ["attribute", "setting"])
def test_models_that_differ_in_more_than_tensors_are_refused(kind: str) -> None:
    class Shifted(nn.Module):
        def __init__(self, shift: float) -> None:
            super().__init__()
            self.body = nn.Linear(3, 2).double()
            self.shift = torch.tensor([shift, 0.0], dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.body(x) + self.shift
            return out

    def normed(eps: float) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2, eps=eps)).double()

    torch.manual_seed(0)
    pair = (Shifted(0.0), Shifted(1.0)) if kind == "attribute" else (normed(1e-5), normed(1.0))
    with pytest.raises(ValueError, match="differ in more than parameters and buffers"):
        lt.explain(*pair, (X, Y), iterations=5, evaluations=30, points=3)


def normed(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.BatchNorm1d(6), nn.Linear(6, 2)).double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(20):
        optimiser.zero_grad()
        F.cross_entropy(net(X), Y).backward()
        optimiser.step()
    return net.eval()


def test_running_statistics_from_a_loader_are_explained_without_noise() -> None:
    """A loader draws at every pass, which nothing maps; away from the models a running variance can fall below 0, and its error is then none in per cent."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=20)
    result = lt.explain(normed(1), normed(2), loader, iterations=10, evaluations=60, points=5)  # a warning is an error here
    bad = replace(result.plane, error=np.inf, met=False, values=np.array([1.0, np.nan]), checks=np.array([[0.0, 0.0, np.inf]]))
    assert any(
        line.startswith("The loss is no finite number at 2 of 3 places of the plane") for line in replace(result, plane=bad).next_steps()
    )
    off = replace(result, plane=replace(result.plane, error=0.25, met=False))
    assert any("off by up to 25% of the loss" in line for line in off.next_steps())
    assert not any("of the plane" in line for line in replace(result, plane=replace(result.plane, met=True)).next_steps())
