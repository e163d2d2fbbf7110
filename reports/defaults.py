"""Defaults of the study's commands that differ from those of base training."""

TRANSFER_DEFAULTS: dict[str, float | int] = {"learning_rate": 8e-5, "updates": 100_000}
"""The study's rate for transfers in the simple maze; enough updates for it to have decayed to 1/8."""
