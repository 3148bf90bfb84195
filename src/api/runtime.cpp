#include "api/runtime.hpp"

#include <exception>
#include <redismutex/observer.hpp>
#include <string_view>
#include <utility>

#include "api/client_name.hpp"
#include "engine/conversation.hpp"
#include "net/url.hpp"
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

}  // namespace

Runtime::Runtime(ConnectionOptions options)
    : callbacks_{std::make_shared<engine::Callbacks>(options.log, options.observer)},
      client_name_{options.client_name},
      server_{route::operating_system(), display_name(options),
              [this](std::string_view sentence) { callbacks_->log(std::string{sentence}); },
              options.kind == ConnectionOptions::Kind::sentinel},
      workroom_{peer_, reactor_},
      session_{{.environment = route::operating_system(),
                .server = server_,
                .background = workroom_,
                .callbacks = *callbacks_},
               {.connect_timeout = options.connect_timeout, .command_timeout = options.command_timeout}},
      peer_{std::move(options), server_, reactor_, handlers()} {}

Runtime::~Runtime() {
  session_.close();
  workroom_.finish(session_.patience());
}

route::Peer::Handlers Runtime::handlers() {
  route::Peer::Handlers handlers{
      .node = {.link = {.on_push = [this](net::ReplyView push) { take_push(push); },
                        .on_broken = [this](const net::Link& link) { note_broken(link); }},
               .on_linked = [this](const net::Link& link, bool again) { note_linked(link, again); },
               .on_failed = [this](const Failure& why) { note_failed(why); },
               .on_replaced = [this](const net::Link& link) { note_replaced(link); }},
      .name_connection =
          [this](const net::Greeting& greeting) {
            session_.identity().note_client_id(greeting.client_id);
            return client_name(client_name_, session_.identity().tag());
          },
      .on_answered = {}};
  if (observer() != nullptr) {
    handlers.on_answered = [this](std::chrono::nanoseconds duration) {
      observer()->request_answered({.server = server_.name(), .duration = duration});
    };
  }
  return handlers;
}

std::optional<Failure> Runtime::run(protocol::Machine& machine, const engine::Conversation::Terms& terms) {
  engine::Conversation conversation{session_.environment(), server_, machine, terms};
  route::Sleeper sleeper;
  drive(conversation, sleeper);
  return conversation.failure();
}

// ---- what the server tells ------------------------------------------------------------------------------------------

void Runtime::take_push(net::ReplyView push) {
  if (push.size() < 2) return;
  const std::string_view kind = push[0].text();
  const net::ReplyView about = push[1];
  if ((kind == "message" || kind == "smessage") && push.size() == 3) session_.take_message(push[2].text());
  if (kind == "sunsubscribe") session_.channel_ended(about.text());
  if (kind != "invalidate") return;
  if (about.type() != net::ReplyType::array) return session_.all_changed();  // null, as after FLUSHALL
  for (const net::ReplyView key : about) session_.key_changed(key.text());
}

void Runtime::note_linked(const net::Link& link, bool again) {
  server_.begin(link.id(), link.greeting(), link.peer());
  session_.server_changed();
  tell_later(*callbacks_, [server = server_.name(), again](Observer& observer) {
    observer.connected({.server = server, .again = again});
  });
}

void Runtime::note_broken(const net::Link& link) noexcept try {
  server_.note_broken(link.id());
  workroom_.link_broke();
  tell_later(*callbacks_, [server = server_.name(), reason = link.failure().text](Observer& observer) {
    observer.disconnected({.server = server, .reason = reason});
  });
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to tell the observer
}

void Runtime::note_failed(const Failure& why) noexcept try {
  tell_later(*callbacks_, [server = server_.name(), reason = why.text](Observer& observer) {
    observer.connect_failed({.server = server, .reason = reason});
  });
} catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory to tell the observer
}

void Runtime::note_replaced(const net::Link& link) noexcept {
  server_.note_replaced(link.id());
  session_.server_changed();
}

// ---- survey ---------------------------------------------------------------------------------------------------------

namespace {

class Look final : public engine::Conversing<protocol::Survey> {
 public:
  explicit Look(const engine::Setting& setting) : Conversing{setting, setting.terms()}, server_{setting.server()} {}

  void over(End end) noexcept override {
    // Whoever wants a lock finds out, too, why nobody answers.
    if (end == End::abandoned || conversation_.failure()) return;
    for (const std::string& warning : machine_.warnings()) server_.log(warning);
  }

 private:
  route::Server& server_;
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
