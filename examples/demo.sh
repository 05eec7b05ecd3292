#!/bin/sh
# Builds the programs and generates text with the shipped checkpoint under a KV budget. The text goes to standard output,
# progress and the summary to standard error. Arguments replace the default ones of `generate`.
set -eu
cd "$(dirname "$0")/.."
sh .ci/packages g++ cmake ninja-build libcli11-dev libicu-dev nlohmann-json3-dev
build=${BUILD_DIR:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Building in $build ..." >&2
# Where the programs stand in a configured folder, tests and benchmarks keep their setting.
ninja=$(command -v ninja >/dev/null && echo "-G Ninja" || true)
[ -f "$build/CMakeCache.txt" ] || set_up="$ninja -DCMAKE_BUILD_TYPE=Release -DKVSIFT_BUILD_TESTS=OFF -DKVSIFT_BUILD_BENCH=OFF"
# shellcheck disable=SC2086
if ! { cmake -S . -B "$build" ${set_up-} && cmake --build "$build" --target generate --parallel "$(nproc)"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  exit 1
fi
[ $# -gt 0 ] || set -- --policy roco --budget 128 --tokens 512 --ignore-eos --seed 1
"$build/bin/generate" "$@"
