#pragma once

// CLI11's names, for headers that only name them.
namespace CLI {  // NOLINT(readability-identifier-naming): it is theirs
class App;
class Option;
}  // namespace CLI
