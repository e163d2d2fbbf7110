#!/usr/bin/env bash
# tensorboard 2.16.0: one release requires tf-keras-nightly, and with it hundreds of megabytes of nightly TensorFlow, for a package that only writes
# and shows event files.
#
# Guess before running: tensorboard never requires a Keras; `tensorboard>=2.16` is a safe floor.
# Seen: 2.15.2 requires none, tensorboard==2.16.0 requires tf-keras-nightly, 2.16.1 requires tf-keras, 2.16.2 none again. A floor of 2.16 lets a resolver of
# lowest versions take the one with the nightly build.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seen=""
for version in 2.15.2 2.16.0 2.16.1 2.16.2; do
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work/$version" "tensorboard==$version"
    needs=$(unzip -p "$work/$version"/*.whl '*/METADATA' | sed -n 's/^Requires-Dist: *\(tf-keras[^ ;]*\).*/\1/p')
    seen="$seen$version: ${needs:-none}"$'\n'
done
echo "$seen"
expected=$'2.15.2: none\n2.16.0: tf-keras-nightly\n2.16.1: tf-keras\n2.16.2: none\n'
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
