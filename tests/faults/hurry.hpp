#pragma once

#include <redismutex/connection.hpp>

#include "faults/register.hpp"
#include "sim/random.hpp"

namespace redismutex::faults {

/// Takes locks and gives them back, one soon after the other and in many ways, until the register says stop. Nothing is written down but
/// how many attempts there were, after each of which the events are in balance: the Connection's Observer is a Balance.
void hurry(const Connection& connection, Register& resource, sim::Random random);

}  // namespace redismutex::faults
