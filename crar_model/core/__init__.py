"""What everything stands on: errors, files, settings, ranges, sizes, streams of random numbers, compiled code."""
