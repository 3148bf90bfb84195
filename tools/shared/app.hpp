#pragma once

// CLI11's App, for headers that only name it.
namespace CLI {  // NOLINT(readability-identifier-naming): it is theirs
class App;
}
