"""The study's claims: their texts and one rule for each kind of evidence."""
