// Each event is counted under the name that docs/metrics.md gives it. Events are told by hand, and the text is read that Prometheus would get.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <fstream>
#include <redismutex/prometheus.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/process.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::Not;

struct Metrics : ::testing::Test {
  PrometheusMetrics metrics;

  std::string text() const { return ::prometheus::TextSerializer{}.Serialize(metrics.Collect()); }

  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    std::istringstream text{this->text()};
    for (std::string line; std::getline(text, line);) lines.push_back(std::move(line));
    return lines;
  }

  void end_attempt(AttemptEnded::Outcome outcome, std::chrono::nanoseconds waited) {
    metrics.attempt_ended({about, outcome, waited, this, false});
  }

  const AboutLock about{.mutex = "imports", .key = "import:7"};
};

TEST_F(Metrics, Attempts) {
  end_attempt(AttemptEnded::Outcome::free, 2ms);
  end_attempt(AttemptEnded::Outcome::free, 400ms);
  end_attempt(AttemptEnded::Outcome::timed_out, 5s);
  const auto lines = this->lines();
  EXPECT_THAT(lines, Contains(R"(redismutex_acquire_duration_seconds_count{mutex="imports",outcome="free"} 2)"));
  EXPECT_THAT(lines,
              Contains(R"(redismutex_acquire_duration_seconds_bucket{mutex="imports",outcome="free",le="0.0025"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_acquire_duration_seconds_sum{mutex="imports",outcome="timed_out"} 5)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_acquire_duration_seconds_count{mutex="imports",outcome="error"} 0)"))
      << "there from the beginning";
  EXPECT_THAT(lines, Contains(R"(redismutex_locks_held{mutex="imports"} 2)"));
}

TEST_F(Metrics, Holds) {
  end_attempt(AttemptEnded::Outcome::handed_over, 1ms);
  end_attempt(AttemptEnded::Outcome::passed, 1ms);
  metrics.hold_ended({about, HoldEnded::Outcome::released, 20ms});
  metrics.hold_ended({about, HoldEnded::Outcome::abandoned, 0ms});
  auto lines = this->lines();
  EXPECT_THAT(lines, Contains(R"(redismutex_hold_duration_seconds_count{mutex="imports",outcome="released"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_locks_held{mutex="imports"} 1)"))
      << "what a child abandons is its parent's";
}

TEST_F(Metrics, LossesAndRenewals) {
  end_attempt(AttemptEnded::Outcome::free, 1ms);
  metrics.lease_renewed({about, 7000ms, 3});
  metrics.renewal_failed({.leases = 2, .reason = "timeout"});
  EXPECT_THAT(lines(), Contains(R"(redismutex_queue_length{mutex="imports"} 3)"));
  metrics.lock_lost({about, Loss::gone});
  metrics.hold_ended({about, HoldEnded::Outcome::gone, 1s});
  const auto lines = this->lines();
  EXPECT_THAT(lines, Contains(R"(redismutex_losses_total{mutex="imports",reason="gone"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_losses_total{mutex="imports",reason="expired"} 0)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_renewals_total{outcome="renewed"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_renewals_total{outcome="failed"} 2)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_queue_length{mutex="imports"} 0)")) << "none is held that knows better";
}

TEST_F(Metrics, HandOvers) {
  AttemptEnded ended{about, AttemptEnded::Outcome::handed_over, 3s, this, true};
  ended.handover_delay = 200us;
  ended.claims_lost = 2;
  metrics.attempt_ended(ended);
  end_attempt(AttemptEnded::Outcome::free, 1ms);
  metrics.lock_lost({about, Loss::expired, true});
  metrics.lock_lost({about, Loss::expired, false});
  const auto lines = this->lines();
  EXPECT_THAT(lines, Contains(R"(redismutex_handover_delay_seconds_count{mutex="imports"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_handover_delay_seconds_bucket{mutex="imports",le="0.00025"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_claims_lost_total{mutex="imports"} 3)"));
}

TEST_F(Metrics, Waits) {
  metrics.wait_began({about, "", &metrics});
  EXPECT_THAT(lines(), Contains(R"(redismutex_waiters{mutex="imports"} 1)"));
  EXPECT_THAT(lines(), Not(Contains(R"(redismutex_oldest_wait_seconds{mutex="imports"} 0)")));
  metrics.attempt_ended({about, AttemptEnded::Outcome::cancelled, 1s, &metrics, true});
  EXPECT_THAT(lines(), Contains(R"(redismutex_waiters{mutex="imports"} 0)"));
  EXPECT_THAT(lines(), Contains(R"(redismutex_oldest_wait_seconds{mutex="imports"} 0)"));
}

TEST_F(Metrics, Servers) {
  metrics.connect_failed({.server = "redis://a", .reason = "refused"});
  EXPECT_THAT(lines(), Contains(R"(redismutex_connection_up{server="redis://a"} 0)"));
  metrics.connected({.server = "redis://a", .again = false});
  EXPECT_THAT(lines(), Contains(R"(redismutex_connection_up{server="redis://a"} 1)"));
  metrics.disconnected({.server = "redis://a", .reason = "closed"});
  metrics.connected({.server = "redis://a", .again = true});
  metrics.request_answered({.server = "redis://a", .duration = 80us, .kind = RequestAnswered::Kind::line_up});
  const auto lines = this->lines();
  EXPECT_THAT(lines, Contains(R"(redismutex_connection_up{server="redis://a"} 1)"));
  for (const char* outcome : {"failed", "connected", "reconnected"}) {
    EXPECT_THAT(lines, Contains(R"(redismutex_connections_total{outcome=")" + std::string{outcome} +
                                R"(",server="redis://a"} 1)"));
  }
  EXPECT_THAT(lines, Contains(R"(redismutex_disconnects_total{server="redis://a"} 1)"));
  EXPECT_THAT(
      lines,
      Contains(R"(redismutex_request_duration_seconds_bucket{request="line_up",server="redis://a",le="0.0001"} 1)"));
  EXPECT_THAT(lines, Contains(R"(redismutex_request_duration_seconds_count{request="release",server="redis://a"} 0)"));
}

TEST_F(Metrics, NamesThatAreNoTextAndKeysThatAreNeverSeen) {
  metrics.attempt_ended({{.mutex = "\xff\n", .key = "secret"}, AttemptEnded::Outcome::free, 1ms, this, false});
  EXPECT_THAT(lines(), Contains(R"(redismutex_locks_held{mutex="\\xff\\n"} 1)"));
  EXPECT_EQ(text().find("secret"), std::string::npos);
}

/// Every kind of series once.
TEST_F(Metrics, AreWhatThePageLists) {
  end_attempt(AttemptEnded::Outcome::free, 1ms);
  metrics.connected({.server = "redis://a", .again = false});
  std::set<std::string> counted, listed;
  for (const auto& family : metrics.Collect()) counted.insert(family.name);
  std::ifstream page{REDISMUTEX_METRICS_PAGE};
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `redismutex_")) listed.insert(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_EQ(counted, listed);

  const ChildProcess promtool{Program{.arguments = {"promtool", "check", "metrics"}, .input = text()}};
  EXPECT_EQ(promtool.wait(30s), exited(0)) << promtool.stdout_text() << promtool.stderr_text();
  EXPECT_EQ(promtool.stderr_text(), "");
}

}  // namespace
}  // namespace redismutex::testing
