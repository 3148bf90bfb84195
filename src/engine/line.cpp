#include "engine/line.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/session.hpp"
#include "protocol/lease.hpp"

namespace redismutex::engine {
namespace {

using protocol::Instant;
using namespace std::chrono_literals;
using Rest = route::Waker::Rest;

// So many lines that nobody stands in are kept by each shard, for the next keys.
constexpr std::size_t most_spare = 8;

// So many are asked what the place at the server is to be like. The turn of those behind is far away.
constexpr std::size_t most_asked = 64;

// While others wait at the server the lock goes from hand to hand here for so long at most, and then to them.
constexpr Instant::duration longest_row = 20ms;

// What the server has told of the lock is looked at again after this time.
constexpr Instant::duration between_reads = 1ms;

/// Whether a lease is kept in the way that the next one wants.
bool suits(const Lease::Terms& terms, const Wishes& wishes) noexcept {
  return terms.renews == wishes.renews && terms.replicas == wishes.replicas && terms.max_hold == wishes.max_hold &&
         terms.label == wishes.label && terms.name == wishes.name && (!terms.renews || wishes.expiry <= terms.expiry);
}

}  // namespace

/// Guarded by its shard's mutex. It exists as long as somebody is in it: is at the server, has the lock, or waits.
struct Lines::Line {
  std::uint64_t number = 0;  // of the ticket of the one at the server, or that has the lock
  Member* first = nullptr;   // the one at the server; none: somebody has the lock
  std::weak_ptr<Lease> inside;
  bool watched = false;  // its end is told of, also if it comes early

  route::List<Member> waiting;

  Known known;

  // Of passes in a row while others wait at the server, whoever made them.
  Instant row_began;
  int passes = 0;

  std::chrono::milliseconds expiry{0};  // of the one that has the lock

  /// Whether the lease stands for longer than the one that has it, the next one, and those behind it want: it was made longer. `usual`: what
  /// leases like it last.
  bool outlasts_all(const Lease::Standing& standing, std::chrono::milliseconds usual, const Member& next,
                    Instant now) const noexcept {
    const auto longest = std::max({usual, expiry, place_for(next).expiry});
    return standing.stands_until - now > longest + 2 * protocol::drift(longest);
  }

  /// What suits the member, and those behind it.
  PlaceTerms place_for(const Member& member) const noexcept {
    PlaceTerms terms = place_terms(member.wishes_);
    std::size_t asked = 0;
    for (const Member* next = waiting.first(); next != nullptr && asked < most_asked;
         next = route::List<Member>::next(*next)) {
      terms = merge(terms, next->wishes_);
      ++asked;
    }
    return terms;
  }

  void make_first(Member& member, std::uint64_t ticket) noexcept {
    number = ticket;
    first = &member;
    inside.reset();
    watched = false;
    member.ticket = {ticket};
    member.place = place_for(member);
    member.place_changed_.store(false, std::memory_order_relaxed);
    member.line_ = this;
  }

  void make_first_at_once(Member& member, std::uint64_t ticket) noexcept {
    make_first(member, ticket);
    member.state_.store(Member::State::first, std::memory_order_relaxed);
  }

  /// The one that had the lock let go of the lease without a word.
  bool is_deserted() const noexcept { return first == nullptr && waiting.size() == 0 && inside.expired(); }

  void note_waiting(Member& member) noexcept {
    member.line_ = this;
    member.state_.store(Member::State::waiting, std::memory_order_relaxed);
  }

  /// What is to be watched now, because somebody waits for its end: see Lines::have_watched().
  std::shared_ptr<Lease> to_be_watched() noexcept {
    if (first != nullptr || waiting.size() == 0 || std::exchange(watched, true)) return nullptr;
    return inside.lock();
  }
};

struct Lines::Shard {
  std::mutex mutex;  // guards the rest
  Map lines;
  std::vector<Map::node_type> spare;  // its memory is there from the beginning
  std::uint64_t last_number = 0;
  std::atomic<std::size_t> waiting{0};  // in all lines; read without the mutex by one that has a lock and may pass it

  Shard() { spare.reserve(most_spare); }

  /// Most find none, so it looks for one as it puts in another.
  Line& line_for(const protocol::Key& key) {
    if (spare.empty()) return lines.try_emplace(key).first->second;
    spare.back().key() = key;
    auto put_in = lines.insert(std::move(spare.back()));
    if (put_in.inserted) {
      spare.pop_back();
    } else {
      spare.back() = std::move(put_in.node);
    }
    return put_in.position->second;
  }

  void take_out(Line& line, Member& member) noexcept {
    line.waiting.remove(member);
    --waiting;
  }

  void forget(Map::const_iterator place) noexcept {
    Map::node_type node = lines.extract(place);
    if (spare.size() == most_spare) return;
    node.mapped() = Line{};
    spare.push_back(std::move(node));
  }

  /// The next goes to the server, if there is one: with the approach, which else stays with the caller.
  Rest go_on(Map::iterator place, std::unique_ptr<Approach>& approach) noexcept {
    Line& line = place->second;
    if (line.waiting.size() == 0) {
      forget(place);
      return {};
    }
    Member& next = *line.waiting.first();
    take_out(line, next);
    line.make_first(next, ++last_number);
    if (approach) approach->change_waker(next.waker_);
    next.approach = std::exchange(approach, nullptr);
    return announce(next, Member::State::first);
  }

  /// The last thing that is done with the member while the lock is held: it may go on, and be gone, from then on.
  static Rest announce(Member& member, Member::State state) noexcept {
    const Rest rest = member.waker_.begin_wake();
    member.state_.store(state, std::memory_order_release);
    return rest;
  }
};

Lines::Lines(Session& session) : session_{session}, shards_{std::make_unique<std::array<Shard, shard_count>>()} {}
Lines::~Lines() = default;

Lines::Shard& Lines::shard_of(const protocol::Key& key) noexcept {
  return (*shards_)[protocol::Key::Hash{}(key) % shard_count];
}

// ---- members --------------------------------------------------------------------------------------------------------

void Lines::enter(Member& member) {
  Shard& shard = shard_of(member.key_);
  std::shared_ptr<Lease> lease;
  Rest rest;
  {
    const std::lock_guard lock{shard.mutex};
    Line& line = shard.line_for(member.key_);
    if (line.number == 0 || line.is_deserted()) return line.make_first_at_once(member, ++shard.last_number);
    line.note_waiting(member);
    line.waiting.append(member);
    ++shard.waiting;
    lease = line.to_be_watched();
    const bool may_change_place = line.first != nullptr && line.waiting.size() <= most_asked;
    if (may_change_place && merge(line.first->place, member.wishes_) != line.first->place) {
      // It may rest for long, while others renew its place.
      if (!line.first->place_changed_.exchange(true)) rest = line.first->waker_.begin_wake();
    }
  }
  rest.finish();
  have_watched(lease);
}

void Lines::enter_again(Member& member) {
  Shard& shard = shard_of(member.key_);
  std::shared_ptr<Lease> lease;
  {
    const std::lock_guard lock{shard.mutex};
    Line& line = shard.line_for(member.key_);
    const bool is_its_own = line.first == nullptr && line.number == member.ticket.number;
    if (line.number == 0 || is_its_own) return line.make_first_at_once(member, ++shard.last_number);
    // The end of its lease was noticed, and the line went on.
    line.note_waiting(member);
    line.waiting.prepend(member);
    ++shard.waiting;
    lease = line.to_be_watched();
  }
  have_watched(lease);
}

/// Nobody is to wait for longer than the lease lasts. With no lock held.
void Lines::have_watched(const std::shared_ptr<Lease>& lease) noexcept {
  if (!lease) return;
  lease->set_successor({std::shared_ptr<void>{}, this});  // which outlives all leases
  try {
    session_.renewer().watch(*lease);
  } catch (
      const std::exception&) {  // NOLINT(bugprone-empty-catch): no thread, no memory: it lasts until it is given back
  }
}

Lines::Member::State Lines::look(const Member& member) {
  const Member::State seen = member.state();
  if (seen != Member::State::waiting) return seen;
  const std::lock_guard lock{shard_of(member.key_).mutex};
  return member.state();
}

std::optional<Lines::Known> Lines::withdraw(Member& member) {
  Shard& shard = shard_of(member.key_);
  const std::lock_guard lock{shard.mutex};
  if (member.state() != Member::State::waiting) return std::nullopt;
  shard.take_out(*member.line_, member);
  member.state_.store(Member::State::outside, std::memory_order_relaxed);
  return member.line_->known;
}

std::size_t Lines::ahead(const Member& member) {
  const std::lock_guard lock{shard_of(member.key_).mutex};
  if (member.state() != Member::State::waiting) return 0;
  std::size_t count = 1;
  using Waiting = route::List<Member>;
  for (const Member* other = Waiting::previous(member); other != nullptr; other = Waiting::previous(*other)) ++count;
  return count;
}

// ---- the first ------------------------------------------------------------------------------------------------------

void Lines::tell(const Member& first, Known known) {
  const std::lock_guard lock{shard_of(first.key_).mutex};
  known.met_others = known.met_others || first.line_->known.met_others;
  // What was known is let go of when the lock is free.
  std::swap(first.line_->known, known);
}

std::optional<PlaceTerms> Lines::changed_place(Member& first) {
  if (!first.place_changed_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock{shard_of(first.key_).mutex};
  first.place_changed_.store(false, std::memory_order_relaxed);
  return first.place = first.line_->place_for(first);
}

void Lines::granted(Member& first, const std::shared_ptr<Lease>& lease, Instant now) {
  std::shared_ptr<Lease> to_be_watched;
  {
    const std::lock_guard lock{shard_of(first.key_).mutex};
    Line& line = *first.line_;
    line.first = nullptr;
    line.inside = lease;
    line.watched = false;
    line.known.met_others = true;
    line.known.trouble.reset();
    line.row_began = now;
    line.passes = 0;
    line.expiry = first.wishes_.expiry;
    first.state_.store(Member::State::outside, std::memory_order_relaxed);
    to_be_watched = line.to_be_watched();
  }
  have_watched(to_be_watched);
}

std::unique_ptr<Approach> Lines::give_up(Member& first, std::unique_ptr<Approach> approach) noexcept {
  Shard& shard = shard_of(first.key_);
  Rest rest;
  {
    const std::lock_guard lock{shard.mutex};
    first.state_.store(Member::State::outside, std::memory_order_relaxed);
    rest = shard.go_on(shard.lines.find(first.key_), approach);
  }
  rest.finish();
  return approach;
}

// ---- the one that has the lock --------------------------------------------------------------------------------------

Lines::Passing Lines::pass(const Ticket& ticket, const std::shared_ptr<Lease>& lease, Extended extended,
                           Instant now) noexcept {
  Shard& shard = shard_of(lease->key());
  // One that comes now goes to the server when the line is left.
  if (shard.waiting.load(std::memory_order_relaxed) == 0) return {Pass::nobody_there};
  Rest rest;
  {
    const std::lock_guard lock{shard.mutex};
    const auto place = shard.lines.find(lease->key());
    if (place == shard.lines.end()) return {Pass::nobody_there};
    Line& line = place->second;
    if (line.number != ticket.number || line.first != nullptr || line.waiting.size() == 0) return {Pass::nobody_there};
    Member& next = *line.waiting.first();
    const Wishes& wishes = next.wishes_;
    const Lease::Standing standing = lease->standing();
    const bool token_fits = standing.counts_tokens && (standing.has_token || !wishes.fencing);
    if (standing.until <= now || !suits(lease->terms(), wishes) || !token_fits) return {Pass::not_possible};
    const bool others_wait = standing.waiting > 0;
    const bool row_is_over = line.passes >= wishes.local_handoffs || now - line.row_began > longest_row;
    if (others_wait && row_is_over) return {Pass::not_possible};
    const std::chrono::milliseconds expiry = std::max(lease->expiry(), wishes.expiry);
    if (line.outlasts_all(standing, expiry, next, now)) return {Pass::not_possible};
    const bool lasts = standing.until - now >= expiry / 2;
    if (extended == Extended::just_now) {
      if (!lasts) return {Pass::not_possible};
    } else {
      if (!standing.is_known || !standing.is_counted || !lasts) return {Pass::extend_first, expiry};
      if (session_.router().server_of(lease->key()).read_at() + between_reads < now) return {Pass::read_first, expiry};
    }
    const Lease::Turn turn = lease->pass();
    if (turn == 0) return {Pass::not_possible};
    shard.take_out(line, next);
    line.number = ++shard.last_number;
    if (others_wait) {
      ++line.passes;
    } else {
      line.passes = 0;
      line.row_began = now;
    }
    line.expiry = wishes.expiry;
    next.ticket = {line.number};
    next.lease = lease;
    next.turn = turn;
    rest = Shard::announce(next, Member::State::passed);
  }
  rest.finish();
  return {Pass::passed};
}

void Lines::leave(const protocol::Key& key, const Ticket& ticket) noexcept {
  vacate(key, [&ticket](const Line& line) { return line.number == ticket.number; });
}

void Lines::lease_is_over(Lease& lease, Lease::Turn /*turn*/) noexcept {
  vacate(lease.key(), [&lease](const Line& line) { return line.inside.lock().get() == &lease; });
}

/// If that is about the one that has the lock.
template <class IsMeant>
void Lines::vacate(const protocol::Key& key, const IsMeant& is_meant) noexcept {
  Shard& shard = shard_of(key);
  Rest rest;
  std::unique_ptr<Approach> none;
  {
    const std::lock_guard lock{shard.mutex};
    const auto place = shard.lines.find(key);
    if (place == shard.lines.end()) return;
    Line& line = place->second;
    if (line.first != nullptr || !is_meant(line)) return;
    rest = shard.go_on(place, none);
  }
  rest.finish();
}

}  // namespace redismutex::engine
