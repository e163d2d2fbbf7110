from __future__ import annotations

from dataclasses import replace

from crar_model.training.members import Plan


def with_updates(plan: Plan, updates: int) -> Plan:
    """The plan with another number of updates."""
    return replace(plan, settings=replace(plan.settings, updates=updates))
