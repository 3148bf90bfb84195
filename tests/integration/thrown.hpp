#pragma once

#include <stdexcept>
#include <string>
#include <typeinfo>

namespace redismutex::testing {

/// The exception that `action` throws, which must be of exactly this type; anything else fails the test:
///
///     EXPECT_THAT(thrown<MutexLockError>([&] { return mutex.acquire_lock("k"); }).what(), HasSubstr("'k'"));
template <class Exception, class Action>
Exception thrown(Action&& action) {
  const std::string wanted = typeid(Exception).name();
  try {
    static_cast<void>(action());
  } catch (const Exception& exception) {
    if (typeid(exception) == typeid(Exception)) return exception;
    throw std::logic_error("wanted " + wanted + ", thrown was " + typeid(exception).name() + ": " + exception.what());
  } catch (const std::exception& exception) {
    throw std::logic_error("wanted " + wanted + ", thrown was " + typeid(exception).name() + ": " + exception.what());
  }
  throw std::logic_error("wanted " + wanted + ", nothing was thrown");
}

}  // namespace redismutex::testing
