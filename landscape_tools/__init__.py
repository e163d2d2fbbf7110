"""Loss landscapes of any pure `loss(params) -> {name: scalar}`; knows nothing of agents or mazes."""
