"""The pages and commands: what they measure, decide, draw and write."""
