#!/usr/bin/env bash
# networkx 3.6.1: weisfeiler_lehman_graph_hash sees the directions of edges only while no edge label is given; with edge_attr it does not.
#
# Guess before running: labels add to what the hash tells apart, never take away. The documentation says that since 3.5 directed graphs have in- and
# outgoing edges kept apart.
# Seen: 0 -> 1 -> 2 and 0 -> 1 <- 2 have different hashes by structure. With the same label "right" on all edges they are equal, and so are those
# of two tables of four states that are not isomorphic. The marks of direction are only written where edge_attr is None.
# Why it matters: a table of states and moves is a directed graph with labels. Used as a filter before an isomorphism test, the hash is still right;
# used to count worlds that differ, it counts too few.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check networkx==3.6.1
cat >"$work/run.py" <<'PYTHON'
import warnings

import networkx as nx

warnings.simplefilter("ignore")  # "the hashes of directed graphs changed in 3.5"


def equal(one, other):
    ways = {"structure": {}, "edge_attr": {"edge_attr": "move"}}
    found = {name: nx.weisfeiler_lehman_graph_hash(one, **way) == nx.weisfeiler_lehman_graph_hash(other, **way) for name, way in ways.items()}
    return found | {"isomorphic": nx.is_isomorphic(one, other)}


chain, meeting = nx.DiGraph([(0, 1), (1, 2)]), nx.DiGraph([(0, 1), (2, 1)])
maze = nx.DiGraph([(0, 1), (1, 3), (2, 0), (2, 1), (3, 2), (3, 0)])  # every state can be reached from every other, as in `other`
other = nx.DiGraph([(0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (3, 1)])
pairs = {"chain and meeting": (chain, meeting), "two mazes of four states": (maze, other)}
for name, pair in pairs.items():
    for graph in pair:
        nx.set_edge_attributes(graph, "right", "move")
    print(f"{name}: same hash by {equal(*pair)}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
chain and meeting: same hash by {'structure': False, 'edge_attr': True, 'isomorphic': False}
two mazes of four states: same hash by {'structure': False, 'edge_attr': True, 'isomorphic': False}
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
