#include "sim/clean_up.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

#include "protocol/release.hpp"
#include "sim/process.hpp"

namespace redismutex::sim {
namespace {

using namespace std::chrono_literals;

/// As the mutant has it.
Task<> leave_only(Process& process, Bell& bell, const Remains& remains) {
  const std::string script = cancel_without_release();
  const std::array<std::string_view, 9> command{
      "EVAL", script,         "3", remains.key.text(), remains.key.line(), remains.key.floor(), remains.id.text(),
      "",     remains.details};
  std::shared_ptr<Link> used;
  const protocol::Request request{.arguments = command};
  const auto answered = co_await process.exchange(bell, request, process.patience(), nullptr, used);
}

Task<> release_in_background(Process& process, Remains remains) {
  Bell bell{process.world(), process};
  if (process.world().mutant == Mutant::cancel_keeps_grant) co_return co_await leave_only(process, bell, remains);
  for (;;) {
    protocol::Release release{remains.key,
                              remains.id,
                              {.valid_until = remains.until,
                               .token = remains.token,
                               .details = remains.details,
                               .former_details = remains.former_details,
                               .dead = protocol::Release::Dead::clear}};
    const auto failure = co_await process.run(bell, release, process.patience());
    const bool refused = !failure && std::holds_alternative<protocol::Refusal>(release.outcome());
    if ((!failure && !refused) || process.now() + 250ms >= remains.until) co_return;
    co_await process.sleep(bell, process.world().now() + 250ms);
  }
}

}  // namespace

void clean_up(Process& process, Remains remains) {
  if (process.world().mutant == Mutant::never_cleans_up) return;
  process.spawn(release_in_background(process, std::move(remains)));
}

}  // namespace redismutex::sim
