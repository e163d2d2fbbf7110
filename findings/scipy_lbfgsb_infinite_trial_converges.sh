#!/usr/bin/env bash
# scipy 1.17.1: L-BFGS-B reports convergence far from the minimum after a trial step that met an infinite value; after NaN it does not.
#
# Guess before running: an infinite value is stepped back from, as in any backtracking search, and NaN is the harder case.
# Seen: minimising x - log x (minimum at 1) from x = 50, with a wall for x <= 0. A wall of infinity ends with success=True and "CONVERGENCE" at
# x = 29, where the slope is 0.97. Walls of NaN and of 1e6 are both stepped back from, and the minimum is found.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1
cat >"$work/run.py" <<'PYTHON'
import numpy as np
from scipy.optimize import minimize

for name, wall in (("infinity", np.inf), ("NaN", np.nan), ("1e6", 1e6)):

    def value(x):
        return (x[0] - np.log(x[0]), np.array([1 - 1 / x[0]])) if x[0] > 0 else (wall, np.array([-1.0]))

    found = minimize(value, [50.0], jac=True, method="L-BFGS-B")
    print(f"{name}: success {found.success}, x {found.x[0]:.3g}, {str(found.message).split(':')[0]}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
infinity: success True, x 29, CONVERGENCE
NaN: success True, x 1, CONVERGENCE
1e6: success True, x 1, CONVERGENCE
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
