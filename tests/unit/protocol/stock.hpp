#pragma once

#include "protocol/key.hpp"
#include "protocol/owner_id.hpp"

/// What the tests of this folder ask for, and as whom.
namespace redismutex::protocol {

inline const Key key{"stock"};
inline const Key tagged_key{"{stock}:2"};  // of the same slot
inline const OwnerId id{{}};
inline const OwnerId other_id{{.random = 1}};

}  // namespace redismutex::protocol
