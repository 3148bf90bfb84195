#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <redismutex/observer.hpp>
#include <redismutex/options.hpp>
#include <stop_token>
#include <string>
#include <string_view>

#include "engine/renewer.hpp"
#include "protocol/acquire.hpp"
#include "protocol/extend.hpp"
#include "protocol/instant.hpp"
#include "protocol/key.hpp"
#include "protocol/label.hpp"
#include "protocol/owner_id.hpp"
#include "protocol/release.hpp"
#include "protocol/validity.hpp"
#include "route/callbacks.hpp"
#include "route/server.hpp"
#include "route/waker.hpp"

namespace redismutex::engine {

class LossJob;
class Session;

/// A time of ownership of a key, from the grant until the key is given back or lost. Threads of one process may pass it on among
/// themselves: then each has its own turn, and what is asked of an earlier turn is answered as for a lock that is lost.
///
/// Made before the request leaves, with all that it will need: from begin() on nothing throws, but what says so. Belongs to
/// shared_ptrs. Thread-safe.
class Lease : public std::enable_shared_from_this<Lease> {
 public:
  /// Whether it is a lock, or one server's part of a quorum's: then its loss is no loss of the lock, and the Observer is not told of it.
  enum class Part { whole, vote };

  struct Terms {
    std::chrono::milliseconds expiry;
    Replicas replicas = {};  ///< so many are to have received what is written of it, before it counts
    bool renews = false;
    std::chrono::milliseconds max_hold{0};           ///< with `renews`: of each turn; 0: no limit
    protocol::Instant latest_end = protocol::never;  ///< and this besides
    std::string label = {};                          ///< to stand beside the key; empty: none
    std::string name = {};                           ///< what the Observer calls its mutex
    Part part = Part::whole;
  };

  /// Of one holder; 0 is nobody's.
  using Turn = std::uint64_t;

  /// Somebody in the process waits for the end of the present turn.
  class Successor {
   public:
    /// The lease has ended, or was lost, before the turn was over. Called once for a lease, in the Background, with no lock held.
    virtual void lease_is_over(Lease& lease, Turn turn) noexcept = 0;

   protected:
    ~Successor() = default;
  };

  /// `session` must outlive it. Throws std::bad_alloc; and std::system_error where it is to be renewed, and there is no thread for that.
  Lease(Session& session, protocol::Key key, const protocol::OwnerId& id, Terms terms);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  const protocol::Key& key() const noexcept { return key_; }
  const protocol::OwnerId& id() const noexcept { return id_; }
  // For users:
  const std::string& key_text() const noexcept { return key_text_; }
  const std::string& value() const noexcept { return value_; }  ///< the id
  std::chrono::milliseconds expiry() const noexcept { return terms_.expiry; }
  const std::string& name() const noexcept { return terms_.name; }
  const Terms& terms() const noexcept { return terms_; }

  // ---- for whoever is inside

  /// Whose word it is that it is ours: see Conversation::authority().
  struct Authority {
    const route::Server* server;
    std::uint64_t link;  ///< the connection on which that was said
  };

  /// It was granted: the first turn begins. From now on it is looked after: the short lease of a hand-over becomes the full one,
  /// and it is renewed if it is to be. Once. `confirmed_until`: the lease counts no longer.
  Turn begin(const protocol::Acquire::Held& held, const Authority& by, protocol::Instant now,
             protocol::Instant confirmed_until = protocol::never) noexcept;

  /// When the present turn began.
  protocol::Instant began() const noexcept;

  /// 0: none was wanted, or the turn is over.
  std::uint64_t token(Turn turn) const noexcept;

  /// Until when it can be relied on, as far as answers have arrived, whichever server gave them; a time long past once it was lost, or
  /// the turn is over.
  protocol::Instant valid_until(Turn turn) const noexcept;

  /// The same; but a time long past, too, as long as the present server has not confirmed it, which is asked soon: another one was asked before, and
  /// what that one knew may be lost.
  protocol::Instant valid_here_until(Turn turn) noexcept;

  /// Whether the present server has confirmed it, and not only one that was there before. Needs no lock.
  bool is_confirmed_here() const noexcept;

  /// When the last request was sent to which the server said that it is ours: it has been so since the grant. Also of one that was lost since.
  protocol::Instant confirmed() const noexcept;

  /// The server is asked soon whether it is ours still. Where there is no thread for it, it is not.
  void look_soon() noexcept;

  /// Whether it still has the short lease of a hand-over.
  bool is_claim(Turn turn) const noexcept;

  /// Stops when the lock is lost before the turn ends. Its callbacks run in threads made for them, or where conclude_extension() and
  /// found_gone() say. Has the key watched, too. The first time it throws std::bad_alloc, and std::system_error if there is no thread to be
  /// had.
  std::stop_token lost_token(Turn turn);

  /// The two halves of an extension that somebody waits for, who does not hold up the lease's other users meanwhile. The first
  /// gives the terms to ask with, and the present end; nothing if the turn is over or the lease has ended. The second takes in how
  /// it went. An extension that never left changes nothing. If the server says that the lock is gone, the lease is lost: what the
  /// second half returns tells whoever listens, and is to be run by the holder's own thread, or by Callbacks; none: nobody does.
  /// `confirmed_until`: the new lease counts no longer.
  struct Extension {
    protocol::Extend::Terms terms;
    protocol::Instant until;
  };
  std::optional<Extension> begin_extension(Turn turn, std::chrono::milliseconds expiry,
                                           protocol::Longer longer) noexcept;
  enum class Went {
    answered,
    unknown,      ///< it was sent, and no answer came
    never_left,   ///< nothing was sent
    unconfirmed,  ///< the server has carried it out, and too few replicas are known to have received that
  };
  [[nodiscard]] std::unique_ptr<route::Job> conclude_extension(
      const protocol::Extend& machine, Went how, const Authority& by = {},
      protocol::Instant confirmed_until = protocol::never) noexcept;

  /// The same in place of both, if its time is over.
  [[nodiscard]] std::unique_ptr<route::Job> note_end(Turn turn) noexcept;

  // ---- passing on, within the process

  /// What is known of it now.
  struct Standing {
    protocol::Instant until;
    protocol::Instant stands_until;  ///< at the server, at the latest, by what was sent so far

    /// That the server has it for us: by an answer to a request that left at most 1 ms ago, or because the key is watched; and nothing else was
    /// heard since.
    bool is_known;

    bool is_counted;       ///< how many wait at the server was learnt at most 20 ms ago
    std::int64_t waiting;  ///< so many wait there
    bool counts_tokens;    ///< the token may be counted up, or there is none
    bool has_token;
  };
  Standing standing() const noexcept;

  /// The next holder's turn begins, with the next token; the one before hears of no loss any more. 0: the lease was lost, or
  /// has ended, meanwhile.
  Turn pass() noexcept;

  /// Who is to hear of the end, in the Background; none: nobody any more. For the end to be noticed in time the lease is to be watched: see
  /// Renewer::watch().
  void set_successor(std::shared_ptr<Successor> successor) noexcept;

  /// Its holder uses this token, which is not below that of the server.
  void raise_token(std::uint64_t token) noexcept;

  /// Why it was lost, if it was.
  std::optional<Loss> lost() const noexcept;

  /// The turn is over, and with it the lease: nobody renews it any more, or is told of a loss, but by found_gone(). Once: what to say
  /// to the server, and what to do if that fails; nothing if the turn was over. The views in the terms are of this object.
  struct Ending {
    protocol::Release::Terms terms;
    protocol::Instant stands_until;  ///< at the server, at the latest: by all that was sent, whatever was answered
  };
  std::optional<Ending> end(Turn turn, protocol::Instant now) noexcept;

  /// The turn is over as by end(), and the lock stands until its lease ends. Its label, if it has one, is to say so.
  struct Left {
    protocol::WriteLabel::Terms label;
    protocol::Instant until;  ///< an answer after that is of no use
  };
  std::optional<Left> leave(Turn turn) noexcept;

  /// The server did not have it any more when it was given back, after end(): why it was lost, and what tells of that, as with
  /// conclude_extension(), if nobody did yet.
  struct Found {
    Loss why;
    std::unique_ptr<route::Job> loss;
  };
  [[nodiscard]] Found found_gone() noexcept;

  // ---- for the renewer

  /// What is to be done for it now.
  struct Visit {
    enum class What {
      nothing,  ///< now, or any more: it has told the renewer when
      look,     ///< whether it is still ours
      extend,   ///< to `renew_to` from now on
      lose,     ///< its time has come
    };
    What what = What::nothing;
    std::chrono::milliseconds renew_to{0};
    bool renews = false;                                  ///< it is a renewal, for the Observer
    protocol::Instant until{};                            ///< an answer after that is of no use
    std::uint64_t doubts = 0;                             ///< that the answer settles
    protocol::Instant confirmed_until = protocol::never;  ///< an extension counts no longer
  };
  Visit plan(protocol::Instant now) noexcept;

  /// How a visit went.
  struct Circumstances {
    Authority by = {};
    bool tracks = false;     ///< the server tells of changes on that connection
    bool may_track = false;  ///< or may do so the next time
    double share = 0.3;      ///< after so much of a lease it is renewed the next time
  };

  /// The server has said what became of a visit: it is ours. Returns until when, as valid_until() does.
  protocol::Instant conclude_visit(const Visit& visit, const protocol::ExtendMany::Fate& fate, const Circumstances& how,
                                   protocol::Instant now) noexcept;

  /// It has said nothing, or refused, for the reason in `trouble`: the next visit is to be then, or before half of what is left
  /// has passed.
  void put_off(protocol::Instant next, const std::shared_ptr<const std::string>& trouble,
               protocol::Instant now) noexcept;

  /// The key was changed, or the server has forgotten to tell us of changes: it is not known any more whether it is ours. Needs no lock.
  void doubt() noexcept { ++doubts_; }

  /// Tells of the loss, once; later, or after the end, does nothing. Not to be called with a lock held.
  void lose(Loss why) noexcept;

  /// In the Background: tells the successor, once, if it was lost.
  void tell_successor() noexcept;

  /// What is to be written of the label now, if anything. From then on it counts as written, and is due again when the lease is about
  /// to outlast it. The text is the lease's own. Once that is over, however it went, note_label_over() is to be called.
  std::optional<protocol::WriteLabel::Terms> plan_label(protocol::Instant now) noexcept;
  void note_label_over() noexcept;

  /// Whether one is under way; then `waker` is told when none is any more, until this is called with none.
  bool await_labels(route::Waker* waker) noexcept;

  /// It was not written after all: it is due again at that time; Instant::max(): when the lease is renewed.
  void put_off_label(protocol::Instant next) noexcept;

  /// From now on it is watched.
  void note_watched() noexcept;

 private:
  friend class Renewer;

  std::unique_ptr<LossJob> make_loss_job() const;
  bool is_present(Turn turn) const noexcept { return turn == turn_ && turn != 0 && !ended_ && !lost_; }
  bool listens() const noexcept { return terms_.renews || job_ != nullptr || successor_ != nullptr; }
  bool is_tracked() const noexcept;
  void note_confirmed(const Authority& by) noexcept;
  void note_sent(std::chrono::milliseconds expiry, protocol::Instant now) noexcept;
  void note_answer(protocol::Instant sent_at, std::int64_t waiting, std::uint64_t doubts) noexcept;
  protocol::Instant limit() const noexcept;
  bool may_be_renewed() const noexcept;
  protocol::Instant next_renewal(double share, protocol::Instant now) const noexcept;
  void hurry(protocol::Instant now) noexcept;
  protocol::Instant work_due() const noexcept;
  void reschedule() noexcept;
  bool may_extend(protocol::Instant now) noexcept;
  bool outlasts_label(protocol::Instant now) const noexcept;
  void keep_label(protocol::Instant now) noexcept;
  std::optional<protocol::WriteLabel::Terms> label_terms(protocol::Instant now) noexcept;
  std::unique_ptr<LossJob> note_loss(Loss why) noexcept;
  void note_in_job() noexcept;
  void tell(std::unique_ptr<LossJob> job) noexcept;
  void log_trouble(std::string_view trouble) const noexcept;

  Session& session_;
  const protocol::Key key_;
  const protocol::OwnerId id_;
  const std::string key_text_;
  const std::string value_;
  const Terms terms_;
  Renewer::Seat seat_;
  std::atomic<std::uint64_t> doubts_{0};
  std::atomic<const route::Server*> confirmed_by_{
      nullptr};  // so far as is known; from the beginning on. Written with the lock
  std::atomic<std::uint64_t> confirmed_link_{
      0};  // on which the server said last that it is ours. Written with the lock

  mutable std::mutex mutex_;  // guards what follows; before the renewer's
  protocol::Validity validity_{{}, false};
  protocol::Instant stands_until_;             // at the server, at the latest, by what was answered, or never will be
  std::chrono::milliseconds extending_to_{0};  // the longest of the extensions that are under way,
  std::chrono::milliseconds renewing_to_{0};   // and the visit's
  Turn turn_ = 0;
  bool ended_ = false;
  bool had_ended_ = false;  // by itself, when it was given back
  protocol::Instant granted_at_;
  protocol::Instant began_;  // the turn
  std::uint64_t token_ = 0;
  bool token_is_ahead_ = false;
  bool handed_over_ = false;

  // Of a place in line that it may have besides. Copied without memory.
  std::array<char, 64> details_{};
  std::size_t details_size_ = 0;

  // What is known. The doubts are those that an answer has settled.
  protocol::Instant confirmed_ = protocol::Instant::min();  // ours, by an answer to what was sent then
  protocol::Instant counted_ = protocol::Instant::min();    // the same, of those who wait
  std::int64_t waiting_ = 0;
  std::uint64_t settled_doubts_ = 0;
  bool watched_ = false;
  std::uint64_t tracked_link_ = 0;    // the server tells of changes on this connection,
  std::uint64_t tracked_doubts_ = 0;  // if there was no doubt since
  std::uint64_t asked_link_ = 0;      // the first one to the server that was asked to confirm it
  const route::Server* asked_at_ = nullptr;
  unsigned extensions_ = 0;  // that somebody waits for
  unsigned untracked_ = 0;   // of those: they may end the tracking
  std::uint64_t extension_doubts_ = 0;

  // What is to be done.
  protocol::Instant extend_at_ = protocol::Instant::max();
  protocol::Instant look_at_ = protocol::Instant::max();
  protocol::Instant not_before_{};
  std::shared_ptr<const std::string> trouble_;  // why it could not be done the last time
  protocol::Instant label_at_ = protocol::Instant::max();
  protocol::Instant label_until_ = protocol::Instant::min();  // it stands beside the key
  bool has_label_ = false;                                    // or may have, because it was to be written
  int labels_under_way_ = 0;
  route::Waker* labels_waker_ = nullptr;

  // The loss.
  std::optional<Loss> lost_;
  std::unique_ptr<LossJob> job_;  // if anybody is to be told
  std::stop_source loss_{std::nostopstate};
  std::shared_ptr<Successor> successor_;
};

}  // namespace redismutex::engine
