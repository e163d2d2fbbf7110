"""Members, update rules, and running them as one program."""
