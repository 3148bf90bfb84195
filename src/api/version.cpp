#include <redismutex/config.hpp>

namespace redismutex {
inline namespace REDISMUTEX_ABI {

std::string_view version() noexcept { return REDISMUTEX_VERSION; }

}  // namespace REDISMUTEX_ABI
}  // namespace redismutex
