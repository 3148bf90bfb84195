#include "engine/session.hpp"

#include "route/cluster.hpp"

namespace redismutex::engine {

Session::Session(const Outside& outside, const Limits& limits)
    : Setting{outside, limits},
      identity_{outside.environment},
      wake_ups_{outside.environment},
      map_reader_{*this},
      clean_ups_{*this},
      renewer_{*this},
      places_{*this},
      lines_{*this},
      vigil_{*this} {
  route::Cluster* const cluster = router().cluster();
  if (cluster != nullptr) cluster->on_moved([this] { renewer_.keys_moved(); });
}

Session::~Session() = default;

void Session::close() noexcept {
  vigil_.close();
  places_.close();
  renewer_.close();
  clean_ups_.close();
  map_reader_.close();
}

std::atomic<bool>& Session::contended(const protocol::Key& key) noexcept {
  return contended_[protocol::Key::Hash{}(key) % contended_.size()];
}

void Session::key_changed(std::string_view key) {
  renewer_.key_changed(key);
  wake_ups_.key_changed(key);
}

void Session::all_changed() {
  renewer_.all_changed();
  wake_ups_.all_changed();
}

/// Nobody can be woken until it is asked for again, and each that looks does so.
void Session::channel_ended(route::Server& server, std::string_view channel) {
  if (const auto slot = server.pushes().ended(channel)) wake_ups_.slot_changed(*slot);
}

}  // namespace redismutex::engine
