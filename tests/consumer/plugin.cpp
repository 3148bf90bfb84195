// A plugin with its own, static copy of the library, for plugin_host.cpp.

#include <redismutex/redismutex.hpp>

extern "C" bool plugin_can_lock(const char* key) {
  return redismutex::RedisMutex{redismutex::Connection{}}.try_acquire_lock(key).has_value();
}

extern "C" void plugin_fails() {
  redismutex::Connection{"redis://localhost:1"}.ping();  // nobody listens there
}
