"""Every tool on every kind of network of the table of cases, against plain PyTorch by hand or for its one line."""

from __future__ import annotations

import pytest
import torch

from tests.landscape_tools.cases import KINDS, case_of
from tests.landscape_tools.tool_checks import (
    adaptive,
    alignment,
    band,
    certificate,
    charted,
    connection,
    convergence,
    curvature,
    curve,
    lifting,
    line,
    plane,
    product,
    random_plane,
    streamed,
    trajectory,
    whole_spectrum,
    wrong_names,
)

TOOLS = {
    tool.__name__: tool
    for tool in (
        line,
        plane,
        random_plane,
        trajectory,
        band,
        curve,
        product,
        curvature,
        convergence,
        certificate,
        alignment,
        lifting,
        wrong_names,
        adaptive,
        whole_spectrum,
        streamed,
        connection,
        charted,
    )
}


@pytest.mark.filterwarnings("ignore:torch.func.vmap cannot map this loss")
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_by_hand(kind: str, tool: str) -> None:
    case = case_of(kind)
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in case.models]
    modes = [[part.training for part in model.modules()] for model in case.models]
    TOOLS[tool](case)
    # Neither the user's networks nor their data have changed.
    for model, old, mode in zip(case.models, before, modes, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in model.state_dict().items())
        assert [part.training for part in model.modules()] == mode
        assert all(value.grad is None for value in model.parameters())
    assert all(
        torch.equal(p[name], value) for p, model in zip(case.points, case.models, strict=True) for name, value in model.named_parameters()
    )
