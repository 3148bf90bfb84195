#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <redismutex/redismutex.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace redismutex::testing {

/// Keeps all that an Observer is told. Thread-safe.
class Events final : public Observer {
 public:
  /// Of one kind, with what it was about.
  template <class Detail>
  struct Of {
    std::string mutex;  ///< Options::name
    std::string key;
    Detail detail;
  };
  struct Renewal {
    std::chrono::milliseconds valid_for;
    std::int64_t waiting;
  };
  struct Failure {
    std::size_t leases;
    std::string reason;
  };
  struct Contact {
    std::string server;
    std::string reason;
    bool again;
  };
  struct Attempt {
    AttemptEnded::Outcome outcome;
    std::chrono::nanoseconds waited;
    std::optional<std::chrono::nanoseconds> handover_delay;
    std::size_t claims_lost;
  };
  struct Answer {
    std::string server;
    RequestAnswered::Kind kind;
  };
  struct Loss {
    redismutex::Loss why;
    bool claim;
  };
  struct Hold {
    HoldEnded::Outcome outcome;
    std::chrono::nanoseconds held;
  };
  struct Begin {};

  struct All {
    std::vector<Of<Begin>> waits;
    std::vector<Of<Attempt>> attempts;
    std::vector<Of<Hold>> holds;
    std::vector<Of<Loss>> losses;
    std::vector<Of<Renewal>> renewals;
    std::vector<Failure> failures;
    std::vector<Contact> connected, connect_failed, disconnected;
    std::vector<Answer> answered;

    long count(AttemptEnded::Outcome outcome) const {
      return std::count_if(attempts.begin(), attempts.end(),
                           [outcome](const auto& attempt) { return attempt.detail.outcome == outcome; });
    }
    long count(HoldEnded::Outcome outcome) const {
      return std::count_if(holds.begin(), holds.end(),
                           [outcome](const auto& hold) { return hold.detail.outcome == outcome; });
    }
    long count(redismutex::Loss why) const {
      return std::count_if(losses.begin(), losses.end(), [why](const auto& loss) { return loss.detail.why == why; });
    }
    long acquired() const {
      return count(AttemptEnded::Outcome::free) + count(AttemptEnded::Outcome::handed_over) +
             count(AttemptEnded::Outcome::passed);
    }
  };

  All all() const {
    const std::lock_guard lock{mutex_};
    return all_;
  }

  void wait_began(const WaitBegan& event) noexcept override { note(&All::waits, event, {}); }
  void attempt_ended(const AttemptEnded& event) noexcept override {
    note(&All::attempts, event, {event.outcome, event.waited, event.handover_delay, event.claims_lost});
  }
  void hold_ended(const HoldEnded& event) noexcept override { note(&All::holds, event, {event.outcome, event.held}); }
  void lock_lost(const LockLost& event) noexcept override { note(&All::losses, event, {event.why, event.claim}); }
  void lease_renewed(const LeaseRenewed& event) noexcept override {
    note(&All::renewals, event, {event.valid_for, event.waiting});
  }
  void renewal_failed(const RenewalFailed& event) noexcept override {
    add(&All::failures, Failure{event.leases, std::string{event.reason}});
  }
  void connected(const Connected& event) noexcept override {
    add(&All::connected, Contact{std::string{event.server}, {}, event.again});
  }
  void connect_failed(const ConnectFailed& event) noexcept override {
    add(&All::connect_failed, Contact{std::string{event.server}, std::string{event.reason}, {}});
  }
  void disconnected(const Disconnected& event) noexcept override {
    add(&All::disconnected, Contact{std::string{event.server}, std::string{event.reason}, {}});
  }
  void request_answered(const RequestAnswered& event) noexcept override {
    add(&All::answered, Answer{std::string{event.server}, event.kind});
  }

 private:
  template <class Detail>
  void note(std::vector<Of<Detail>> All::*kind, const AboutLock& about, Detail detail) {
    add(kind, Of<Detail>{std::string{about.mutex}, std::string{about.key}, detail});
  }

  template <class Event>
  void add(std::vector<Event> All::*kind, Event event) {
    const std::lock_guard lock{mutex_};
    (all_.*kind).push_back(std::move(event));
  }

  mutable std::mutex mutex_;
  All all_;
};

inline Connection observed(std::string_view url, const std::shared_ptr<Observer>& observer) {
  ConnectionOptions options = parse_url(url);
  options.observer = observer;
  return Connection{options};
}

}  // namespace redismutex::testing
