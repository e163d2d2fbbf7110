"""The study's figures, one module each, drawn with matplotlib's Agg canvas."""
