#include "quorum_view.hpp"

#include <algorithm>
#include <exception>
#include <future>
#include <nlohmann/json.hpp>
#include <redismutex/errors.hpp>
#include <redismutex/printable.hpp>
#include <utility>

#include "json.hpp"
#include "moments.hpp"
#include "people.hpp"
#include "table.hpp"

namespace redismutex::cli {
namespace {

constexpr std::size_t name_width = 14;

std::string summary(const QuorumView& view) {
  const auto at = [&](std::size_t votes) {
    return " at " + std::to_string(votes) + " of " + std::to_string(view.votes.size()) + " servers";
  };
  if (const Vote* const first = view.holders_vote()) {
    const Inspection& holder = *first->seen;
    const std::string votes = at(view.votes_of(holder));
    return holder.state == Inspection::State::held ? "held" + votes + " by " + holder_text(holder, first->server)
                                                   : state_name(holder.state) + votes;
  }
  if (view.is_free()) return "free" + at(view.count(Inspection::State::free));
  return "split: nobody has it at " + std::to_string(view.majority()) + " of " + std::to_string(view.votes.size()) +
         " servers, which are a majority";
}

Table::Row row_of_vote(const Vote& vote) {
  if (!vote.seen) return {vote.server.name, "no answer", "-", "-", printable(vote.trouble)};
  const Inspection& seen = *vote.seen;
  const bool is_free = seen.state == Inspection::State::free;
  return {vote.server.name, is_free ? "free" : short_holder_text(seen, vote.server),
          is_free           ? "-"
          : seen.lease_left ? duration_text(*seen.lease_left)
                            : "no end",
          std::to_string(seen.waiting), is_free ? "-" : printable(seen.value)};
}

}  // namespace

std::size_t QuorumView::count(Inspection::State state) const {
  return static_cast<std::size_t>(std::count_if(
      votes.begin(), votes.end(), [state](const Vote& vote) { return vote.seen && vote.seen->state == state; }));
}

bool QuorumView::is_holders(const Vote& vote, const Inspection& holder) {
  if (!vote.seen || vote.seen->state != holder.state) return false;
  if (holder.state == Inspection::State::not_a_lock) return true;
  return holder.state == Inspection::State::held ? vote.seen->tag == holder.tag : vote.seen->value == holder.value;
}

std::size_t QuorumView::votes_of(const Inspection& holder) const {
  return static_cast<std::size_t>(
      std::count_if(votes.begin(), votes.end(), [&](const Vote& vote) { return is_holders(vote, holder); }));
}

const Inspection* QuorumView::holder() const {
  const Vote* const vote = holders_vote();
  return vote == nullptr ? nullptr : &*vote->seen;
}

const Vote* QuorumView::holders_vote() const {
  for (const Vote& vote : votes) {
    if (!vote.seen || vote.seen->state == Inspection::State::free) continue;
    if (votes_of(*vote.seen) >= majority()) return &vote;
  }
  return nullptr;
}

std::string QuorumView::state() const {
  if (const Inspection* const most = holder()) return state_name(most->state);
  return is_free() ? "free" : "split";
}

QuorumLookout::QuorumLookout(const std::vector<ConnectionOptions>& servers) {
  for (const ConnectionOptions& server : servers) lookouts_.emplace_back(server);
}

/// All at once: one that is silent is waited for once.
std::vector<QuorumView> QuorumLookout::look(const std::vector<std::string>& keys, const Lookout::Options& options) {
  std::vector<std::future<std::vector<Inspection>>> asked;
  asked.reserve(lookouts_.size());
  for (Lookout& lookout : lookouts_) {
    asked.push_back(std::async(std::launch::async, [&] { return lookout.look(keys, options); }));
  }
  std::vector<QuorumView> views;
  views.reserve(keys.size());
  for (const std::string& key : keys) views.push_back({key, {}});
  std::size_t answered = 0;
  std::exception_ptr failure;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    std::vector<Inspection> seen;
    std::string trouble;
    try {
      seen = asked[i].get();
      ++answered;
    } catch (const Error& error) {
      trouble = error.what();
      failure = std::current_exception();
    }
    for (std::size_t k = 0; k < keys.size(); ++k) {
      views[k].votes.push_back({lookouts_[i].server(), {}, trouble});
      if (trouble.empty()) views[k].votes.back().seen = std::move(seen[k]);
    }
  }
  if (answered <= lookouts_.size() / 2) std::rethrow_exception(failure);
  return views;
}

std::string describe(const QuorumView& view, const Colours& colours) {
  Table table;
  table.add({"server", "holder", "lease", "waiting", "id"});
  for (const Vote& vote : view.votes) table.add(row_of_vote(vote));
  auto lines = table.lines();
  lines.front() = colours.dim(lines.front());
  std::string text = colours.bold(padded(printable(view.key), name_width)) + "  " + summary(view) + "\n";
  for (const std::string& line : lines) text += "  " + line + "\n";
  return text;
}

std::string json_line(const QuorumView& view) {
  nlohmann::ordered_json json;
  json["schema"] = json_schema;
  add_json_text(json, "key", view.key);
  json["state"] = view.state();
  const Inspection* const holder = view.holder();
  json["votes"] = holder != nullptr ? view.votes_of(*holder) : 0;
  json["majority"] = view.majority();
  json["servers"] = nlohmann::ordered_json::array();
  for (const Vote& vote : view.votes) {
    if (vote.seen) {
      json["servers"].push_back(nlohmann::ordered_json::parse(json_line(*vote.seen, vote.server)));
    } else {
      json["servers"].push_back(
          {{"server", {{"name", json_text(vote.server.name)}}}, {"trouble", json_text(vote.trouble)}});
    }
  }
  return json.dump() + "\n";
}

}  // namespace redismutex::cli
