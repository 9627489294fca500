#!/usr/bin/env bash
# start.sh base|branch PORT STATE_DIR: serves one version on 127.0.0.1:PORT in the foreground, with an empty memory.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=${ECHOLANE_INPUTS:-${XDG_CACHE_HOME:-$HOME/.cache}/echolane-inputs}/kinto
version=$1 port=$2 state=$3
case $version in base | branch) ;; *) echo "usage: start.sh base|branch PORT STATE_DIR" >&2; exit 2 ;; esac
sed "s/@PORT@/$port/" "$HERE/kinto.ini.in" >"$state/kinto.ini"
cd "$state"
exec "$DIR/$version/bin/kinto" start --ini "$state/kinto.ini"
