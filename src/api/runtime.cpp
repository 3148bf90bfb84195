#include "api/runtime.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <redismutex/observer.hpp>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/client_name.hpp"
#include "api/request_kind.hpp"
#include "engine/conversation.hpp"
#include "net/url.hpp"
#include "protocol/ping.hpp"
#include "protocol/slot_map.hpp"
#include "protocol/survey.hpp"
#include "route/background.hpp"
#include "route/environment.hpp"

namespace redismutex::api {
namespace {

using route::Failure;

/// Tells the observer of something in a thread made for that.
template <class Tell>
void tell_later(engine::Callbacks& callbacks, Tell tell) {
  if (callbacks.observer() == nullptr) return;
  callbacks.get_ready();
  callbacks.tell_observer(std::move(tell));
}

/// Several connections may be dialled at the same time, to one server or to many: the user is asked for credentials by one of them at a time.
ConnectionOptions asking_once_at_a_time(ConnectionOptions options) {
  if (!options.credentials) return options;
  options.credentials = [supply = std::move(options.credentials), mutex = std::make_shared<std::mutex>()] {
    const std::lock_guard lock{*mutex};
    return supply();
  };
  return options;
}

}  // namespace

/// The peer goes before the rest of the Runtime does: its links tell the Session of pushes.
struct Runtime::Station {
  Station(Runtime& runtime, const ConnectionOptions& options)
      : server{route::operating_system(), display_name(options),
               [&runtime](std::string_view sentence) { runtime.callbacks_->log(std::string{sentence}); },
               options.kind == ConnectionOptions::Kind::sentinel} {}

  route::Server server;
  std::optional<route::Peer> peer;
};

Runtime::Runtime(ConnectionOptions options)
    : callbacks_{std::make_shared<engine::Callbacks>(options.log, options.observer)},
      options_{asking_once_at_a_time(std::move(options))},
      name_{display_name(options_)},
      workroom_{reactor_},
      loop_driver_{workroom_},
      session_{{.environment = route::operating_system(),
                .router = make_router(),
                .background = workroom_,
                .callbacks = *callbacks_},
               {.connect_timeout = options_.connect_timeout, .command_timeout = options_.command_timeout}} {}

Runtime::~Runtime() {
  session_.close();
  workroom_.finish(session_.patience());
  for (Station& station : stations_) station.peer.reset();
}

route::Router Runtime::make_router() {
  if (options_.kind != ConnectionOptions::Kind::cluster) return make_station(options_);
  const auto make = [this](const ServerAddress& address) -> route::Server& {
    ConnectionOptions options = options_;
    options.kind = ConnectionOptions::Kind::single;
    options.nodes.clear();
    options.host = address.host;
    options.port = address.port;
    return make_station(options);
  };
  return cluster_.emplace(options_.nodes, make);
}

route::Server& Runtime::make_station(const ConnectionOptions& options) {
  Station& station = add_station(options);
  station.peer.emplace(options, station.server, reactor_, handlers(station));
  station.server.on_lane([this, &station]() -> route::Server& { return make_lane(station.peer->options()); });
  workroom_.add(*station.peer);
  return station.server;
}

/// One that nobody uses, if what follows fails.
Runtime::Station& Runtime::add_station(const ConnectionOptions& options) {
  const std::lock_guard lock{stations_mutex_};
  return stations_.emplace_back(*this, options);
}

/// The second connection to the same server.
route::Server& Runtime::make_lane(const ConnectionOptions& options) {
  Station& station = add_station(options);
  station.peer.emplace(options, station.server, reactor_, lane_handlers(station));
  // Nobody listens there, so it is dialled when somebody has something to ask.
  station.server.note_retired(true);
  workroom_.add(*station.peer);
  return station.server;
}

route::Peer::Handlers Runtime::handlers(Station& station) {
  route::Peer::Handlers handlers{
      .node = {.link = {.on_push = [this, &station](net::ReplyView push) { take_push(station, push); },
                        .on_broken = [this, &station](const net::Link& link) { note_broken(station, link); }},
               .on_linked = [this, &station](net::Link& link, bool again) { note_linked(station, link, again); },
               .on_failed = [this, &station](const Failure& why) { note_failed(station, why); },
               .on_replaced = [this, &station](const net::Link& link) { note_replaced(station, link); }},
      .name_connection =
          [this](const net::Greeting& greeting) {
            session_.identity().note_client_id(greeting.client_id);
            return client_name(options_.client_name, session_.identity().tag());
          },
      .on_answered = {}};
  if (observer() != nullptr) {
    handlers.on_answered = [this, &station](std::span<const route::Procedure::Command> commands,
                                            std::chrono::nanoseconds duration) {
      observer()->request_answered({.server = station.server.name(), .duration = duration, .kind = kind_of(commands)});
    };
  }
  return handlers;
}

route::Peer::Handlers Runtime::lane_handlers(Station& station) {
  route::Peer::Handlers handlers = this->handlers(station);
  handlers.node.link.on_push = [](net::ReplyView) {};
  handlers.node.on_linked = [this, &station](net::Link& link, bool again) { note_lane_linked(station, link, again); };
  handlers.node.on_replaced = [](const net::Link&) {};
  handlers.node.on_replicas = [&station](std::int64_t count) { station.server.note_replicas(count); };
  handlers.name_connection = [this](const net::Greeting&) {
    return client_name(options_.client_name, session_.identity().tag());
  };
  return handlers;
}

void Runtime::learn_map() {
  if (cluster_->is_read()) return;
  protocol::Ping first;  // passes over seeds that are not there
  if (run(first)) return;
  const route::Cluster::Informant informant = cluster_->present();
  protocol::AskSlots machine{informant.address};
  run(machine, informant.server);
  if (const auto* map = std::get_if<protocol::SlotMap>(&machine.outcome())) cluster_->take_in(*map);
}

std::vector<route::Server*> Runtime::reach_all() {
  learn_map();
  return cluster_->masters_and_seeds();
}

std::optional<Failure> Runtime::run(protocol::Machine& machine, route::Server* at) {
  engine::Conversation::Terms terms = session_.terms();
  terms.at = at;
  return run(machine, terms);
}

std::optional<Failure> Runtime::run(protocol::Machine& machine, const engine::Conversation::Terms& terms) {
  engine::Conversation conversation{session_.environment(), session_.router(), machine, terms};
  route::Sleeper sleeper;
  drive(conversation, sleeper);
  return conversation.failure();
}

// ---- what the server tells ------------------------------------------------------------------------------------------

void Runtime::take_push(Station& station, net::ReplyView push) {
  if (push.size() < 2) return;
  const std::string_view kind = push[0].text();
  const net::ReplyView about = push[1];
  if ((kind == "message" || kind == "smessage") && push.size() == 3) session_.take_message(push[2].text());
  if (kind == "sunsubscribe") session_.channel_ended(station.server, about.text());
  if (kind != "invalidate") return;
  if (about.type() != net::ReplyType::array) return session_.all_changed();  // null, as after FLUSHALL
  for (const net::ReplyView key : about) session_.key_changed(key.text());
}

void Runtime::note_linked(Station& station, net::Link& link, bool again) {
  loop_driver_.add(link.shared_from_this());
  station.server.begin(link.id(), link.greeting(), link.peer(), link.address());
  if (cluster_) cluster_->note_linked();
  session_.server_changed();
  tell_connected(station, again);
}

void Runtime::note_lane_linked(Station& station, net::Link& link, bool again) {
  loop_driver_.add(link.shared_from_this());
  station.server.begin(link.id(), link.greeting(), link.peer(), link.address());
  tell_connected(station, again);
}

void Runtime::tell_connected(const Station& station, bool again) {
  tell_later(*callbacks_, [server = station.server.name(), again](Observer& observer) {
    observer.connected({.server = server, .again = again});
  });
}

void Runtime::note_broken(Station& station, const net::Link& link) noexcept try {
  station.server.note_broken(link.id());
  workroom_.link_broke();
  tell_later(*callbacks_, [server = station.server.name(), reason = link.failure().text](Observer& observer) {
    observer.disconnected({.server = server, .reason = reason});
  });
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to tell the observer
}

void Runtime::note_failed(const Station& station, const Failure& why) noexcept try {
  tell_later(*callbacks_, [server = station.server.name(), reason = why.text](Observer& observer) {
    observer.connect_failed({.server = server, .reason = reason});
  });
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to tell the observer
}

void Runtime::note_replaced(Station& station, const net::Link& link) noexcept {
  station.server.note_replaced(link.id());
  session_.server_changed();
}

// ---- survey ---------------------------------------------------------------------------------------------------------

namespace {

class Look final : public engine::Conversing<protocol::Survey> {
 public:
  explicit Look(const engine::Setting& setting) : Conversing{setting, setting.terms()} {}

  void over(End end) noexcept override {
    // Whoever wants a lock finds out, too, why nobody answers.
    if (end == End::abandoned || conversation_.failure()) return;
    for (const std::string& warning : machine_.warnings()) conversation_.server().log(warning);
  }
};

}  // namespace

void Runtime::survey() noexcept {
  if (!callbacks_->has_log() || surveyed_.exchange(true)) return;
  try {
    workroom_.start(std::make_unique<Look>(session_));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory; locks do without
  }
}

}  // namespace redismutex::api
