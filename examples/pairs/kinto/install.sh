#!/usr/bin/env bash
# Installs both versions of this pair under $ECHOLANE_INPUTS (default ~/.cache/echolane-inputs). Safe to run again. Needs Python 3.11 with pip.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=${ECHOLANE_INPUTS:-${XDG_CACHE_HOME:-$HOME/.cache}/echolane-inputs}/kinto
mkdir -p "$DIR"
exec 9>"$DIR/.lock"
if command -v flock >/dev/null; then flock 9; fi
STAMP=$(cat "$HERE"/install.sh "$HERE"/requirements-*.txt | cksum | tr ' ' -)
if [ "$(cat "$DIR/.installed" 2>/dev/null || true)" = "$STAMP" ]; then exit 0; fi
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3)}
for version in base branch; do
  rm -rf "${DIR:?}/$version"
  "$PYTHON" -m venv "$DIR/$version"
  "$DIR/$version/bin/python" -m pip install --quiet --disable-pip-version-check -r "$HERE/requirements-$version.txt"
done
echo "$STAMP" >"$DIR/.installed"
