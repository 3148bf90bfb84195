// A real Prometheus scrapes the example program, has the rules of ops/, and answers questions about the locks that it takes.

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>

#include "support/eventually.hpp"
#include "support/process.hpp"
#include "support/server.hpp"
#include "support/temp_dir.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

/// Where the example serves; it says so in its first line.
std::string address_of(const ChildProcess& example) {
  const auto has_said = [&] { return example.stdout_text().find('\n') != std::string::npos; };
  if (!eventually(30s, has_said)) return {};
  const std::string line = example.stdout_text();
  const std::string scheme = "http://";
  return line.substr(scheme.size(), line.find('/', scheme.size()) - scheme.size());
}

/// Scrapes one target. Listens on a port that the system chooses.
class Prometheus {
 public:
  explicit Prometheus(const std::string& target)
      : process_{Program{.arguments = {"prometheus", "--config.file=" + configure(directory_, target),
                                       "--storage.tsdb.path=" + directory_.file("data"),
                                       "--web.listen-address=127.0.0.1:0"}}} {}

  /// promtool's answer: a line for each series. Empty as long as there is none.
  std::string query(const std::string& expression) const {
    const std::string address = this->address();
    if (address.empty()) return {};
    const ChildProcess promtool{
        Program{.arguments = {"promtool", "query", "instant", "http://" + address, expression}}};
    promtool.wait(30s);
    return promtool.stdout_text();
  }

  std::string log() const { return process_.stderr_text(); }

 private:
  /// Its log says which port it got.
  std::string address() const {
    const std::string log = this->log(), before = "msg=\"Listening on\" address=";
    const auto begin = log.find(before);
    const auto end = log.find('\n', begin);
    if (begin == std::string::npos || end == std::string::npos) return {};
    return log.substr(begin + before.size(), end - begin - before.size());
  }

  static std::string configure(const TempDir& directory, const std::string& target) {
    std::ofstream{directory.file("prometheus.yml")}
        << "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        << "rule_files: ['" << REDISMUTEX_RULES << "']\n"
        << "scrape_configs: [{job_name: example, static_configs: [{targets: ['" << target << "']}]}]\n";
    return directory.file("prometheus.yml");
  }

  TempDir directory_;
  ChildProcess process_;
};

TEST(Scrape, ByARealPrometheus) {
  const Server server;
  const ChildProcess example{
      Program{.arguments = {REDISMUTEX_METRICS_EXAMPLE, "127.0.0.1:0"}, .environment = {"REDIS_URL=" + server.url()}}};
  const std::string address = address_of(example);
  ASSERT_NE(address, "") << example.stderr_text();
  const Prometheus prometheus{address};

  const auto answers = [&](const std::string& expression) {
    return eventually(60s, [&] { return prometheus.query(expression).find("=>") != std::string::npos; });
  };
  EXPECT_TRUE(answers(R"(redismutex_locks_held{job="example",mutex="imports"} == 1)")) << prometheus.log();
  EXPECT_TRUE(answers(R"(redismutex_waiters{mutex="imports"} == 1)"));
  EXPECT_TRUE(answers(R"(redismutex_acquire_duration_seconds_count{outcome="passed"} > 10)"));
  EXPECT_TRUE(answers(R"(redismutex_connection_up{server=")" + server.url() + R"("} == 1)"));
  EXPECT_TRUE(answers(R"(redismutex_build_info == 1)"));
  EXPECT_TRUE(answers(R"(redismutex:acquire_wait_seconds:p99_5m{mutex="imports"} > 0.01)")) << "by the rules of ops/";
}

}  // namespace
}  // namespace redismutex::testing
