#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <redismutex/connection_options.hpp>
#include <string>
#include <string_view>

#include "net/failure.hpp"
#include "net/greeting.hpp"
#include "protocol/instant.hpp"
#include "protocol/release.hpp"
#include "route/environment.hpp"
#include "route/pushes.hpp"
#include "route/throttle.hpp"

namespace redismutex::route {

class Peer;

/// What is known of one server, and of the present connection to it: how it wakes our waiters, what it can do, and what the log was
/// told of it. Sends nothing itself. Thread-safe.
class Server {
 public:
  /// Is told what a person should know: a sentence, with the server's name in front. Must not throw.
  using Log = std::function<void(std::string_view)>;

  /// `may_be_replaced`: others may put another server in its place at any time, and tell that to those who ask.
  Server(Environment& environment, std::string name, Log log, bool may_be_replaced = false);

  /// Without credentials, for people.
  const std::string& name() const noexcept { return name_; }

  /// There is a new connection. `peer`: where it leads; `named`: what it was looked for by; see net::LoggedIn.
  void begin(std::uint64_t link, const net::Greeting& greeting, std::string_view peer = {},
             const ServerAddress& named = {});

  /// The first connection to the present server. Those with smaller numbers led to another one, or to one that another has replaced: what it said
  /// of a lock does not hold here.
  std::uint64_t first_link() const noexcept { return first_link_; }

  /// Another server has taken the place of the one that this connection leads to. It may not be known yet where that is.
  void note_replaced(std::uint64_t link) noexcept;

  bool may_be_replaced() const noexcept { return may_be_replaced_; }

  /// Of one that may be replaced: whether its lane has been connected to another server than it is itself; or another server has taken its place,
  /// wherever that is. While it is not connected nobody knows. One server may have several addresses: what others name by the same name is the same.
  bool has_parted_from(const Server& lane) const;

  /// Another server has taken its place, and nobody has connected to that one since.
  bool is_replaced() const;

  /// The server's own number of the last connection; 0: there was none.
  std::int64_t client_id() const noexcept { return client_id_; }

  /// It broke.
  void note_broken(std::uint64_t link) noexcept;

  /// The present connection, as far as is known; 0: there is none. What the server tracks it tracks for this one.
  std::uint64_t live_link() const noexcept { return live_link_; }

  /// How it wakes us.
  Pushes& pushes() noexcept { return pushes_; }

  /// Of those who wait in lines, when they have to ask on a new connection.
  Throttle& throttle() noexcept { return throttle_; }

  /// The command of its own that deletes a key which still has a certain value; by the script where it has none, or has refused it
  /// on the present connection.
  protocol::Release::Deletion deletion() const noexcept { return deletion_; }
  void note_deletion_refused() noexcept { deletion_ = protocol::Release::Deletion::by_script; }

  /// What came of asking for pushes: says once what it does not let us have.
  enum Means : std::size_t { channels, tracking };
  void note_means(Pushes::Next next, Means means, std::string_view error);

  /// It is away, and somebody waits for it; or it answers. Each is said once.
  void note_absence(const net::Failure& reason);
  void note_presence() noexcept;

  /// Whether a new connection is likely to take long, and to be in vain: an answer was overdue, or dialling failed, and nobody
  /// has logged in since. For those that would rather do without.
  bool seems_away() const noexcept { return seems_away_; }
  void note_silence() noexcept { seems_away_ = true; }

  /// It is the wrong one, and was left for that.
  void note_left(std::string_view refusal, protocol::Instant now);

  /// When what it had told was taken in last, all of it.
  protocol::Instant read_at() const noexcept { return read_at_; }
  void note_read(protocol::Instant now) noexcept { read_at_ = now; }

  void log(std::string_view message) const noexcept;

  /// It is no part of what it belonged to any more, so nobody is to connect to it without need.
  bool is_retired() const noexcept { return retired_; }
  void note_retired(bool retired) noexcept { retired_ = retired; }

  /// So many replicas others have named, also those that are down; 0: nobody has.
  std::int64_t named_replicas() const noexcept { return named_replicas_; }
  void note_replicas(std::int64_t count) noexcept { named_replicas_ = count; }

  /// Another connection to the same server, for requests that hold up those behind them: made at its first use. Where nobody can make one
  /// it is this one. May throw std::bad_alloc.
  Server& lane();

  /// Makes it: it must stay as long as this one. Is called once, by whichever thread needs it first; again only if it has thrown. Set
  /// before the first request.
  void on_lane(std::function<Server&()> make) { make_lane_ = std::move(make); }

  // ---- for drivers

  /// The way to it; none where a driver has others.
  Peer* way() const noexcept { return way_; }
  void note_way(Peer& way) noexcept { way_ = &way; }

 private:
  const std::string name_;
  const Log log_;
  Pushes pushes_;
  Throttle throttle_;
  const bool may_be_replaced_;
  mutable std::mutex peer_mutex_;  // guards these three
  std::string peer_;               // of the last connection; empty: that was replaced, or it can not be said
  ServerAddress named_;  // that one was looked for by this; nothing: that was replaced, or nobody has named it
  std::uint64_t last_link_ = 0;
  std::atomic<std::uint64_t> first_link_{0};
  std::atomic<std::uint64_t> live_link_{0};
  std::atomic<std::int64_t> client_id_{0};
  std::atomic<protocol::Release::Deletion> deletion_{protocol::Release::Deletion::by_script};
  std::atomic<bool> absence_told_{false};
  std::atomic<bool> seems_away_{false};
  std::atomic<bool> retired_{false};
  std::atomic<std::int64_t> named_replicas_{0};
  std::array<std::atomic<bool>, 2> refusals_told_{};  // of each of the means
  std::atomic<protocol::Instant> left_at_{protocol::Instant::min()};
  std::atomic<protocol::Instant> read_at_{protocol::Instant::min()};
  Peer* way_ = nullptr;  // from the beginning on
  std::function<Server&()> make_lane_;
  std::once_flag lane_made_;
  Server* lane_ = nullptr;
};

}  // namespace redismutex::route
