#!/bin/sh
# unsupported.sh CXX INCLUDE_DIR INCLUDE_DIR DIRECTORY: what the library can not be compiled with is told in one sentence.
set -eu
cxx=$1 include=$2 generated=$3 directory=$4
status=0

# expect SENTENCE FLAG...: each public header alone says it, and hardly anything else.
expect() {
  sentence=$1
  shift
  for header in "$include"/redismutex/*.hpp; do
    if "$cxx" -fsyntax-only "$@" -I"$include" -I"$generated" -x c++ "$header" 2>"$directory/said"; then
      echo "$header: compiles with $*"
      status=1
    elif ! grep -q "error: .*$sentence" "$directory/said" || [ "$(grep -c 'error:' "$directory/said")" -gt 2 ]; then
      echo "$header, with $*: expected '$sentence' and nothing else, got:"
      cat "$directory/said"
      status=1
    fi
  done
}

rm -rf "$directory"
mkdir -p "$directory/other_library"
: >"$directory/other_library/cstddef"  # of a standard library that is not libstdc++
expect 'redismutex needs C++20' -std=c++17
expect 'redismutex needs exceptions' -std=c++20 -fno-exceptions
expect 'redismutex runs on Linux only' -std=c++20 -U__linux__
expect 'redismutex needs libstdc++' -std=c++20 -nostdinc++ -isystem "$directory/other_library"
exit $status
