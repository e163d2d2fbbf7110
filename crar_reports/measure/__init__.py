"""What a report measures on models: no page, no figure, no verdict."""
