"""Defaults of the study's commands that differ from those of base training."""

from __future__ import annotations

TRANSFER_DEFAULTS: dict[str, float | int | str] = {"learning_rate": 8e-5, "updates": 60_000, "update_rule": "sequential"}
"""`crar transfer`: the study's learning rate and the released code's update rule, whose outcomes agree with the
released ones (docs/update_rules.md); `crar train` keeps the paper's joint rule, which converges."""
