// Loaded into redismutex by LD_PRELOAD: in place of /etc/redismutex/url it finds the file that $SYSTEM_FILE names, or none.
// So tests need no rights to change /etc.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* place_of(const char* path) {
  if (std::strcmp(path, "/etc/redismutex/url") != 0) return path;
  const char* const file = std::getenv("SYSTEM_FILE");
  return file != nullptr ? file : "/nonexistent";
}

FILE* open_by(const char* name, const char* path, const char* mode) {
  const auto real = reinterpret_cast<FILE* (*)(const char*, const char*)>(::dlsym(RTLD_NEXT, name));
  return real(place_of(path), mode);
}

}  // namespace

extern "C" {
FILE* fopen(const char* path, const char* mode) { return open_by("fopen", path, mode); }
FILE* fopen64(const char* path, const char* mode) { return open_by("fopen64", path, mode); }
}
