#!/bin/sh
# no_prometheus.sh CMAKE CXX STAGE DIRECTORY: who asks for the metrics where the package has none is told why they are not found.
set -eu
cmake=$1 cxx=$2 stage=$3 directory=$4
rm -rf "$directory"
mkdir -p "$directory"
cp -Rl "$stage" "$directory/stage"
find "$directory/stage" -name 'redismutexPrometheusTargets*.cmake' -delete
cat >"$directory/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.21)
project(consumer LANGUAGES CXX)
find_package(redismutex OPTIONAL_COMPONENTS prometheus)
message("found without: ${redismutex_FOUND}")
find_package(redismutex REQUIRED COMPONENTS prometheus)
END
if "$cmake" -S "$directory" -B "$directory/build" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$directory/stage" >"$directory/said" 2>&1; then
  echo "what is not there was found"
  exit 1
fi
if ! grep -q "found without: 1" "$directory/said" || ! grep -q "REDISMUTEX_PROMETHEUS=ON" "$directory/said"; then
  cat "$directory/said"
  exit 1
fi
