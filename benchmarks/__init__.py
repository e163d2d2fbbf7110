"""Side-by-side timings, run on request: ratios against named baselines in the same run."""
