// For LD_PRELOAD: after $THREADS_TO_START threads the machine has no more.

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                              void* argument) {
  static std::atomic<int> started{0};
  const char* const most = std::getenv("THREADS_TO_START");
  if (most != nullptr && started++ >= std::atoi(most)) return EAGAIN;
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, function, argument);
}
