#!/bin/sh
# plugin.sh CXX STATIC_PKG_CONFIG_DIR SHARED_PKG_CONFIG_DIR EXPORTED DIRECTORY RUNNER: builds plugin.cpp with the static library
# and plugin_host.cpp with the shared one, in DIRECTORY; looks at what the plugin shows of its copy; runs both together.
set -eu
cxx=$1 static=$2 shared=$3 exported=$4 directory=$5 runner=$6
here=$(dirname "$0")
mkdir -p "$directory"

# shellcheck disable=SC2046  # the flags are words
PKG_CONFIG_PATH=$static sh -euc '"$@" $(pkg-config --cflags --libs redismutex)' sh \
  "$cxx" -std=c++20 -O1 -shared -fPIC -o "$directory/plugin.so" "$here/plugin.cpp"
libdir=$(PKG_CONFIG_PATH=$shared pkg-config --variable=libdir redismutex)
PKG_CONFIG_PATH=$shared sh -euc '"$@" $(pkg-config --cflags --libs redismutex)' sh \
  "$cxx" -std=c++20 -O1 -fvisibility=hidden -Wl,-rpath,"$libdir" -o "$directory/host" "$here/plugin_host.cpp" -ldl

# Neither does the plugin show its copy to others, nor does it use theirs.
nm -DC "$directory/plugin.so" | sed 's/^[0-9a-f ]* [A-Za-z] //' | LC_ALL=C sort -u >"$directory/shown"
if grep -E '^(typeinfo |vtable )?(name )?(for )?redismutex::(engine|net|protocol)::' "$directory/shown" ||
  grep -Fx -f "$exported" "$directory/shown"; then
  echo "these names of the static library are dynamic symbols of the plugin"
  exit 1
fi
"$runner" "$directory/host" "$directory/plugin.so"
