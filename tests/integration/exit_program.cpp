// A program that locks over TLS at the end of its life, for exit_test.cpp: `exit_program URL HOW`.

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <redismutex/redismutex.hpp>
#include <string>
#include <string_view>
#include <thread>

/// For AddressSanitizer: what a detached thread has in its hands when the process ends is no leak.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }  // NOLINT: the name is the sanitizer's

namespace {

using namespace std::chrono_literals;

std::string& url() {
  static auto* const kept = new std::string;  // never destroyed: it is read at the very end
  return *kept;
}

void lock_once() {
  try {
    const redismutex::RedisMutex mutex{redismutex::Connection{url()}};
    mutex.acquire_lock("at the end").release();
    std::cout << "locked" << std::endl;
  } catch (const std::exception& error) {
    std::cout << error.what() << std::endl;
  }
}

struct LocksWhenDestroyed {
  ~LocksWhenDestroyed() { lock_once(); }
};

/// Locks for as long as the process lives, while main() returns and static objects are destroyed.
void lock_in_detached_threads() {
  static std::atomic<int> turns{0};
  for (int i = 0; i < 3; ++i) {
    std::thread{[i] {
      for (;;) {
        try {
          // Never destroyed, as nothing of a detached thread is. A new connection each time: that is when most of OpenSSL is used.
          const redismutex::RedisMutex mutex{*new redismutex::Connection{url()}};
          mutex.acquire_lock("thread " + std::to_string(i)).release();
          ++turns;
        } catch (const std::exception& error) {
          std::cout << error.what() << std::endl;
        }
      }
    }}.detach();
  }
  while (turns < 10) std::this_thread::sleep_for(1ms);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return EXIT_FAILURE;
  const std::string_view how{argv[2]};
  url() = argv[1];
  if (how == "static object" || how == "static object, OpenSSL used before") {
    static const LocksWhenDestroyed at_the_end;
  }
  if (how == "atexit" && std::atexit(lock_once) != 0) return EXIT_FAILURE;
  if (how == "static object, OpenSSL used before") OPENSSL_init_ssl(0, nullptr);
  if (how == "static object" || how == "atexit") lock_once();  // by another Connection
  if (how == "detached threads") lock_in_detached_threads();
  return EXIT_SUCCESS;
}
