#pragma once

namespace redismutex::bench {

/// What the kernel alone takes for what a grant does: of so many threads that sleep, each on a word of its own, `wakings` are woken, one after
/// the other. Returns processor time of this process for each, in microseconds; less than that of as many threads if there can be no more.
double measure_wakings(int threads, int wakings);

}  // namespace redismutex::bench
