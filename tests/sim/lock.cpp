#include "sim/lock.hpp"

#include <utility>

#include "sim/process.hpp"

namespace redismutex::sim {

using histories::Event;
using protocol::Instant;

namespace {

/// As histories::owner_of() reads it.
std::string turn_name(const engine::Acquisition::Granted& granted) {
  std::string name = granted.lease->value();
  if (granted.turn > 1) name.append("+").append(std::to_string(granted.turn - 1));
  return name;
}

}  // namespace

Lock::Lock(Process& process, Bell& bell, int client, engine::Acquisition::Granted granted)
    : process_{process}, bell_{bell}, client_{client}, granted_{std::move(granted)}, turn_{turn_name(granted_)} {
  process_.add(*this);
}

Lock::~Lock() { process_.remove(*this); }

bool Lock::valid() const { return process_.now() < valid_until(); }

void Lock::record(Event::Kind kind, std::string note) const { record(kind, {}, std::move(note)); }

void Lock::record(Event::Kind kind, Instant until, std::string note) const {
  process_.world().record({.kind = kind,
                           .client = client_,
                           .key = granted_.lease->key_text(),
                           .id = turn_,
                           .until = until == Instant{} ? process_.world().now() : process_.when(until),
                           .note = std::move(note),
                           .token = kind == Event::Kind::inside ? granted_.lease->token(granted_.turn) : 0});
}

void Lock::enter(Care care) {
  inside_ = true;
  known_until_ = valid_until();
  const bool is_watched = care.listens && process_.watches_holds();
  record(Event::Kind::inside, known_until_,
         std::string{is_watched ? "watched" : ""} + (is_watched && care.renewed ? "-" : "") +
             (care.renewed ? "renewed" : ""));
  if (care.listens) on_loss_.emplace(granted_.lease->lost_token(granted_.turn), [this] { lose(); });
}

void Lock::look() {
  if (!inside_) return;
  const Instant until = valid_until();
  if (std::exchange(known_until_, until) != until) record(Event::Kind::lease, until, {});
}

void Lock::lose() {
  if (!inside_ || std::exchange(lost_, true)) return;
  look();
  record(Event::Kind::lost);
  bell_.ring();
}

void Lock::leave() {
  look();
  inside_ = false;
  on_loss_.reset();
  record(Event::Kind::release);
}

}  // namespace redismutex::sim
