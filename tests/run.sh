#!/bin/sh
# Builds everything and passes the tests. Arguments go to ctest, for example: tests/run.sh -R select
set -eu
cd "$(dirname "$0")/.."
sh .ci/packages g++ cmake ninja-build python3 doctest-dev libcli11-dev libicu-dev nlohmann-json3-dev
build=${BUILD_DIR:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Building in $build ..." >&2
[ -f "$build/CMakeCache.txt" ] || ! command -v ninja >/dev/null || set_up="-G Ninja"
# shellcheck disable=SC2086
if ! { cmake -S . -B "$build" ${set_up-} -DKVSIFT_BUILD_TESTS=ON -DKVSIFT_BUILD_BENCH=OFF && cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1; then
  grep -n -m 5 -E 'error|Error' "$log" >&2 || true
  tail -n 40 "$log" >&2
  exit 1
fi
grep -E '(are|is) off:' "$log" >&2 || true
ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure "$@"
