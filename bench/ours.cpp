#include "ours.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <stdexcept>
#include <stop_token>
#include <utility>

namespace redismutex::bench {
namespace {

using namespace std::chrono_literals;

class OursListening final : public Ours {
 public:
  using Ours::Ours;

  void lock(const std::string& key) override {
    Ours::lock(key);
    listener_.emplace(lock_->lost_token(), [] {});
  }
  void unlock() override {
    listener_.reset();
    Ours::unlock();
  }

 private:
  std::optional<std::stop_callback<std::function<void()>>> listener_;
};

Options options_for(const std::string& name) {
  if (name == "ours-fenced") return {.fencing = true};
  if (name == "ours-patient") return {.block_time = 60s, .expiry = 61s};
  return {};
}

}  // namespace

bool is_ours(const std::string& name) { return name.rfind("ours", 0) == 0; }

Lockers make_ours(const std::string& name, const std::string& url, int connections, int threads) {
  if (name != "ours" && name != "ours-fenced" && name != "ours-listening" && name != "ours-patient") {
    throw std::invalid_argument{"no locker '" + name + "'"};
  }
  Lockers lockers;
  for (int i = 0; i < connections; ++i) {
    const RedisMutex mutex{Connection{url}, options_for(name)};
    for (int n = 0; n < threads; ++n) {
      if (name == "ours-listening") {
        lockers.push_back(std::make_unique<OursListening>(mutex));
      } else {
        lockers.push_back(std::make_unique<Ours>(mutex));
      }
    }
  }
  return lockers;
}

}  // namespace redismutex::bench
