#include "engine/map_reader.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <variant>

#include "engine/session.hpp"
#include "route/cluster.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

// Between two questions.
constexpr auto pause = 200ms;

// One that takes longer than that is not waited for: another is asked, and has so much more time, up to some times as much. What was dialled by
// then is there the next time.
constexpr auto patience = 500ms;
constexpr unsigned most_patience = 4;

// After an answer with which the link broke, and all that was under way there.
constexpr auto pause_after_harm = 5s;

// What is read without doubt costs the server and the network not more than that, for each of its ranges of slots: as often as it is
// looked for a map of a thousand.
constexpr auto between_looks_per_range = 1ms;

// Then nobody is asked before a request meets trouble again.
constexpr unsigned most_failures = 20;

}  // namespace

class MapReader::Flight final : public Conversing<protocol::AskSlots> {
 public:
  Flight(std::shared_ptr<Landing> landing, const route::Cluster::Informant& informant, milliseconds time)
      : Conversing{landing->setting, terms(landing->setting, informant, time), informant.address},
        landing_{std::move(landing)} {}

  void over(End end) noexcept override {
    const std::optional<route::Failure>& failure = conversation_.failure();
    ReadMap read;
    read.broke_the_link = failure && failure->kind == route::Failure::Kind::unusable && conversation_.link() != 0;
    const auto* map = std::get_if<protocol::SlotMap>(&machine_.outcome());
    try {
      if (end == End::done && !failure && map != nullptr) read.map = *map;
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): then another is asked
    }
    landing_->leave(read);
  }

 private:
  static Conversation::Terms terms(const Setting& setting, const route::Cluster::Informant& informant,
                                   milliseconds time) {
    return {.deadline = std::min<Instant>(setting.patience(), setting.now() + time),
            .patience = 0ms,
            .at = informant.server};
  }

  const std::shared_ptr<Landing> landing_;
};

MapReader::MapReader(Session& session) : Rounds{session, 1}, session_{session} {
  route::Cluster* const cluster = session_.router().cluster();
  if (cluster != nullptr) cluster->on_doubt([this] { have_round(); });
}

MapReader::~MapReader() { close(); }

/// Where there is no thread for it, requests find their way from server to server.
void MapReader::have_round() noexcept try {
  if (enlist()) session_.background().call(*this, session_.now());
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): see above
}

void MapReader::look(Instant now) noexcept {
  if (!session_.router().cluster()->is_read() || !has_room() || now < no_look_before_) return;
  wanted_ = true;
  have_round();
}

Instant MapReader::run(Instant now) noexcept {
  take_results([&](const ReadMap& read) { take_in(read, now); });
  if (has_room() && !session_.router().cluster()->is_read() && failures_ < most_failures) wanted_ = true;
  if (session_.router().cluster()->take_doubt()) {
    wanted_ = true;
    failures_ = 0;
  }
  if (!wanted_ || !has_room()) return Instant::max();
  if (now < not_before_) return not_before_;
  not_before_ = now + pause;
  ask();
  return wanted_ ? not_before_ : Instant::max();
}

void MapReader::ask() noexcept try {
  const auto informant = session_.router().cluster()->next_informant();
  session_.background().start(
      std::make_shared<Flight>(landing_, informant, patience * std::min(1 + failures_, most_patience)));
  note_begun();
  wanted_ = false;
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory, no thread; later, then
}

void MapReader::take_in(const ReadMap& read, Instant now) noexcept try {
  route::Cluster& cluster = *session_.router().cluster();
  if (read.map) {
    failures_ = 0;
    no_look_before_ = now + between_looks_per_range * read.map->ranges.size();
    cluster.take_in(*read.map);
    return;
  }
  cluster.take_doubt();  // that is its own
  wanted_ = ++failures_ < most_failures;
  if (read.broke_the_link) not_before_ = now + pause_after_harm;
} catch (const std::bad_alloc&) {
  wanted_ = true;
}

}  // namespace redismutex::engine
