#!/bin/sh
# symbols.sh LIBRARY LIST NEW_LIST: whether the shared library exports what the list in the repository says. Writes what it
# exports to NEW_LIST.
set -eu
# Each name once, whatever the kind of symbol: a constructor is there twice. Without weak vtables, of classes that are inline as a
# whole: programs have their own, and compilers differ in which of them they leave in the library.
nm -DC --defined-only "$1" | sed -e '/ V vtable for /d' -e 's/^[0-9a-f]* . //' | LC_ALL=C sort -u >"$3"
diff -u "$2" "$3" && exit
cat <<END

The shared library exports something else than $2 lists.
  + and internal:     it is marked REDISMUTEX_EXPORT, or a version script lets it through (cmake/exports.map): mend that.
  + and public:       programs may use it from now on.
  - :                 programs that use it stop working. Before 1.0 that takes a new minor version; afterwards a new major one.
If the change is meant: cp $3 $2
END
exit 1
