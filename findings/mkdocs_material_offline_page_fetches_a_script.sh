#!/usr/bin/env bash
# mkdocs-material 9.8.2: a site built with its `offline` plugin has a script of a public server on every page.
#
# Guess before running: "offline" means that a page built so asks no server for anything.
# Seen: with the plugin each page names a shim on a public server; without the plugin no page names a script elsewhere. (It stands for workers
# where a page is opened from the disk.)
# Why it matters: documentation that is shipped inside a product and looked at behind a closed network waits for a server; a check that pages are self-contained fails.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.8.2
mkdir "$work/docs"
echo '# A page' >"$work/docs/index.md"
build() { # the plugins
    printf 'site_name: site\nuse_directory_urls: false\ntheme: {name: material, font: false}\nplugins: %s\n' "$1" >"$work/mkdocs.yml"
    NO_MKDOCS_2_WARNING=1 "$work/venv/bin/mkdocs" build --quiet --strict --config-file "$work/mkdocs.yml" --site-dir "$work/site"
    grep -cE '<script[^>]+src="?https?://' "$work/site/index.html" || true
}
seen="scripts elsewhere: search $(build '[search]'), search and offline $(build '[search, offline]')"
echo "$seen"
expected='scripts elsewhere: search 0, search and offline 1'
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
