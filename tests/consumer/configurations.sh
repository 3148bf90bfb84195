#!/bin/sh
# configurations.sh CMAKE SOURCE DIRECTORY CXX: configures the project as packagers do, and looks at what would be built.
set -eu
cmake=$1 source=$2 directory=$3 cxx=$4
rm -rf "$directory"
mkdir -p "$directory"

fail() {
  echo "$*"
  exit 1
}

# configure NAME OPTION...: the build directory is $directory/NAME.
configure() {
  name=$1
  shift
  "$cmake" -S "$source" -B "$directory/$name" -DCMAKE_CXX_COMPILER="$cxx" "$@" >"$directory/$name.log" 2>&1
}

cached() { sed -n "s/^$2:[A-Z]*=//p" "$directory/$1/CMakeCache.txt"; }

# Without options: optimized, and without what only we need.
configure plain || fail "$(cat "$directory/plain.log")"
[ "$(cached plain CMAKE_BUILD_TYPE)" = Release ] || fail "the build type is '$(cached plain CMAKE_BUILD_TYPE)', not Release"
[ "$(cached plain CMAKE_CXX_FLAGS_RELEASE)" = "-O2 -DNDEBUG" ] || fail "plain is compiled with $(cached plain CMAKE_CXX_FLAGS_RELEASE)"
for part in TESTS EXAMPLES BENCH; do
  [ "$(cached plain REDISMUTEX_BUILD_$part)" = OFF ] || fail "REDISMUTEX_BUILD_$part is on without being asked for"
done

# What is said is done: build type, directories, the path in which the command looks for the library.
configure odd -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX=/opt/odd \
  -DCMAKE_INSTALL_INCLUDEDIR=/srv/include -DCMAKE_INSTALL_LIBDIR=/srv/lib/64 -DCMAKE_INSTALL_RPATH=/srv/elsewhere ||
  fail "$(cat "$directory/odd.log")"
[ "$(cached odd CMAKE_BUILD_TYPE)" = None ] || fail "the build type that was given is not kept"
grep -q '/srv/elsewhere' "$directory/odd/cmake_install.cmake" || fail "CMAKE_INSTALL_RPATH is not kept"
grep -qF "\$ORIGIN" "$directory/odd/cmake_install.cmake" && fail "\$ORIGIN beside CMAKE_INSTALL_RPATH"
flags=$(PKG_CONFIG_PATH=$directory/odd pkg-config --cflags redismutex)
case " $flags " in
  *" -I/srv/include "*) ;;
  *) fail "pkg-config --cflags says $flags" ;;
esac

# Without the libraries of the part that looks at locks from outside, and of redismutex::testing: the rest is built all the same.
configure small -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DCMAKE_DISABLE_FIND_PACKAGE_Curses=ON \
  -DCMAKE_IGNORE_PATH=/usr/include/lua5.1 || fail "$(cat "$directory/small.log")"
grep -q 'without redismutex::testing (memory: URLs), which needs: liblua5.1-0-dev' "$directory/small.log" ||
  fail "$(cat "$directory/small.log")"
grep -q 'without redismutex-on-call, which needs: nlohmann-json3-dev;libncurses-dev' "$directory/small.log" ||
  fail "$(cat "$directory/small.log")"

# Not for Linux: one sentence.
if configure elsewhere -DCMAKE_SYSTEM_NAME=FreeBSD; then fail "configures for FreeBSD"; fi
grep -q 'redismutex runs on Linux only' "$directory/elsewhere.log" || fail "$(cat "$directory/elsewhere.log")"

# Tests need what a shared library hides: one sentence, too.
if configure shared_tests -DBUILD_SHARED_LIBS=ON -DREDISMUTEX_BUILD_TESTS=ON; then fail "tests of a shared library"; fi
grep -q 'a shared one hides' "$directory/shared_tests.log" || fail "$(cat "$directory/shared_tests.log")"
