#!/bin/sh
# pkg_config.sh CXX PKG_CONFIG_DIR PROGRAM RUNNER [SOURCE PACKAGE]: builds SOURCE (main.cpp) as PROGRAM with what pkg-config says of PACKAGE
# (redismutex), runs it.
set -eu
cxx=$1 program=$3 runner=$4 source=${5:-main.cpp} package=${6:-redismutex}
export PKG_CONFIG_PATH="$2"

# shellcheck disable=SC2046  # the flags are words
"$cxx" -std=c++20 -o "$program" "$(dirname "$0")/$source" $(pkg-config --cflags --libs "$package")
"$runner" "$program"
# shellcheck disable=SC2046
"$cxx" -std=c++20 -o "$program.metrics" "$(dirname "$0")/metrics.cpp" $(pkg-config --cflags --libs redismutex-prometheus)
"$program.metrics"
