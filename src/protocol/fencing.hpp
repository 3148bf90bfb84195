#pragma once

namespace redismutex::protocol {

/// Whether a lock comes with a fencing token.
enum class Fencing { without_token, with_token };

}  // namespace redismutex::protocol
