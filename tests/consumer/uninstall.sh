#!/bin/sh
# uninstall.sh CMAKE SOURCE BUILD DIRECTORY: installs below DIRECTORY as DESTDIR and removes it again; nothing is left.
set -eu
cmake=$1 source=$2 build=$3
export DESTDIR="$4"
rm -rf "$DESTDIR"

fail() {
  echo "$*"
  exit 1
}
uninstall() { "$cmake" "-DMANIFEST=$build/install_manifest.txt" "$@" -P "$source/cmake/Uninstall.cmake"; }

left() { find "$DESTDIR" ! -type d -o -iname '*redismutex*'; }

# By the target, beside somebody else's file.
"$cmake" --install "$build" --prefix /opt/here >/dev/null
[ -n "$(left)" ] || fail "nothing was installed"
"$cmake" --build "$build" --target uninstall >/dev/null
[ -z "$(left)" ] || fail "left by the target: $(left)"

# By the script, as the Makefile calls it: only below the prefix that is meant.
"$cmake" --install "$build" --prefix /opt/here >/dev/null
echo theirs >"$DESTDIR/opt/here/include/redismutex/theirs.hpp"
if uninstall -DPREFIX=/opt/her; then fail "removes what is under another prefix"; fi
[ -n "$(find "$DESTDIR" -name 'libredismutex*')" ] || fail "removed what is under another prefix"
uninstall -DPREFIX=/opt/here/ >/dev/null
[ "$(find "$DESTDIR" ! -type d)" = "$DESTDIR/opt/here/include/redismutex/theirs.hpp" ] || fail "somebody else's file: $(left)"
rm "$DESTDIR/opt/here/include/redismutex/theirs.hpp"

# Twice is no error.
uninstall -DPREFIX=/opt/here >/dev/null
[ -z "$(left)" ] || fail "left by the script: $(left)"
rm -rf "$DESTDIR"
