// A program with the shared library, which loads a plugin with a static one, visible to all: both work, beside each other, and
// what one throws the other can catch.

#include <dlfcn.h>

#include <iostream>
#include <redismutex/redismutex.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
  if (plugin == nullptr) {
    std::cerr << dlerror() << '\n';
    return 1;
  }
  const auto can_lock = reinterpret_cast<bool (*)(const char*)>(dlsym(plugin, "plugin_can_lock"));
  const auto fails = reinterpret_cast<void (*)()>(dlsym(plugin, "plugin_fails"));
  if (can_lock == nullptr || fails == nullptr) return 1;

  {
    const auto lock = redismutex::RedisMutex{redismutex::Connection{}}.acquire_lock("plugin");
    if (!lock.owns_lock() || can_lock("plugin")) return 1;
  }
  if (!can_lock("plugin")) return 1;

  try {
    fails();
    return 1;
  } catch (const redismutex::ConnectionError& error) {
    std::cout << "caught: " << error.what() << '\n';
  }
  try {
    redismutex::Connection{"redis://localhost:1"}.ping();
    return 1;
  } catch (const redismutex::Error& error) {
    std::cout << "caught: " << error.what() << '\n';
  }
  std::cout << "consumer: ok\n";
}
