"""Defaults of the study's commands that differ from those of base training."""

from __future__ import annotations

TRANSFER_DEFAULTS: dict[str, dict[str, float | int | str]] = {
    "simple": {"learning_rate": 8e-5, "updates": 60_000, "update_rule": "sequential"},
    "random": {"updates": 200_000},
}
"""`crar transfer` by maze: the study's learning rate and length, and in the simple maze the released code's update
rule, whose outcomes agree with the released ones (docs/update_rules.md); `crar train` keeps the paper's joint rule,
which converges."""
