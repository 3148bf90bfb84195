#pragma once

#include <functional>

namespace redismutex::testing {

/// How often this process calls send(2) meanwhile.
long long count_sends(const std::function<void()>& meanwhile);

}  // namespace redismutex::testing
