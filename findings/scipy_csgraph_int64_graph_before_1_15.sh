#!/usr/bin/env bash
# scipy 1.14.1: csgraph.shortest_path refuses a sparse array that SciPy itself built from int64 coordinates; 1.15.0 takes it.
#
# Guess before running: the index type of a sparse array is SciPy's own business, so any csr_array works as a graph.
# Seen: csr_array((ones, (rows, columns))) keeps int64 indices where the coordinates are int64, and shortest_path then raises
# "Buffer dtype mismatch, expected 'const int' but got 'long'" in 1.14.1. In 1.15.0 the same graph gives its distances.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/run.py" <<'PYTHON'
import numpy as np
import scipy
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

size = 31
rows = np.repeat(np.arange(size, dtype=np.int64), 4)
columns = np.clip(rows + np.tile(np.array([-1, 1, 0, 2], dtype=np.int64), size), 0, size - 1)
graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
try:
    found = f"farthest {int(shortest_path(graph, unweighted=True).max())} moves"
except ValueError as error:
    found = f"ValueError: {error}"
print(f"{scipy.__version__}, indices {graph.indices.dtype}: {found}")
PYTHON
seen=""
for version in 1.14.1 1.15.0; do
    python3 -m venv "$work/$version"
    "$work/$version/bin/pip" install --quiet --disable-pip-version-check numpy==2.0.2 "scipy==$version"
    seen="$seen$("$work/$version/bin/python" "$work/run.py")"$'\n'
done
echo "$seen"
expected=$'1.14.1, indices int64: ValueError: Buffer dtype mismatch, expected \'const int\' but got \'long\'\n1.15.0, indices int64: farthest 30 moves\n'
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
