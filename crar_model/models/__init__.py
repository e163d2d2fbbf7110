"""Trained models: checkpoints, their evaluation, and those of the original code."""
