#include "doctor.hpp"

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <redismutex/printable.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "doctor_checks.hpp"
#include "doctor_quorum.hpp"
#include "shared/messages.hpp"
#include "shared/parser.hpp"
#include "shared/url_source.hpp"

namespace redismutex::cli {
namespace {

constexpr auto doctor_usage = R"(Examples:
  redismutex doctor                             # the server that run would use
  redismutex doctor --write                     # and take a lock
  redismutex doctor --compare redis://db2:6379  # is that the same server?
  redismutex doctor --key nightly-report        # may this user lock that?

Usage: redismutex doctor [OPTIONS]
)";
constexpr auto doctor_details =
    R"(Prints what it finds, and below each finding that is not good the command that mends it. Looks only, and changes nothing;
--write takes a lock on a key of its own, redismutex-doctor:..., and gives it back. Of a cluster each server that has slots is
examined, and each finding says which one it is about. So are those of a quorum (--url several times), and whether they are different servers.

Exit status, as monitoring systems (Nagios) read it:
    0  all is well        1  a warning
    2  critical: locks do not work here, or do not exclude
    3  unknown: usage error, or no server named)";

struct DoctorOptions {
  bool json = false;
  bool writes = false;
  std::string compare;
  std::string key;
};

constexpr int unknown = 3;

std::string word_for(Level level) {
  switch (level) {
    case Level::good: return "ok";
    case Level::warning: return "warning";
    default: return "critical";
  }
}

void print_doctor(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    auto word = word_for(finding.level);
    word.resize(10, ' ');
    const std::string where = finding.server.empty() ? "" : finding.server + " ";
    std::cout << word << printable(where) << finding.check << ": " << printable(finding.text) << '\n';
    if (!finding.remedy.empty()) std::cout << "          -> " << printable(finding.remedy) << '\n';
  }
}

void print_doctor_json(const std::vector<Finding>& findings, const std::string& server, int status) {
  nlohmann::ordered_json all{{"schema", 1}, {"server", server}, {"status", status}};
  all["findings"] = nlohmann::ordered_json::array();
  for (const auto& finding : findings) {
    nlohmann::ordered_json one{
        {"check", finding.check}, {"level", word_for(finding.level)}, {"text", printable(finding.text)}};
    if (!finding.server.empty()) one["server"] = printable(finding.server);
    if (!finding.remedy.empty()) one["remedy"] = printable(finding.remedy);
    all["findings"].push_back(std::move(one));
  }
  std::cout << all.dump() << '\n';
}

/// What is examined, and its name for people. Throws NoUrl and std::invalid_argument.
struct Patient {
  Patient(const DoctorOptions& options, const ServerOption& server) : servers{server.all()}, words{server.words()} {
    for (const ConnectionOptions& each : servers) name += (name.empty() ? "" : ", ") + display_name(each);
    if (options.compare.empty()) return;
    if (servers.size() > 1) throw std::invalid_argument{"--compare is for one server, and not for a quorum"};
    static_cast<void>(parse_url(options.compare));
  }

  std::vector<ConnectionOptions> servers;
  std::string name;
  std::string words;  // by which command lines name it
};

Findings examine_one(const Patient& patient, const DoctorOptions& options) {
  Examination examination{
      .server = patient.servers.front(), .name = patient.name, .words = patient.words, .writes = options.writes};
  if (!options.key.empty()) examination.key = {.name = options.key, .is_locked = true};
  if (patient.servers.size() > 1) return examine_quorum(patient.servers, examination);
  if (!options.compare.empty()) examination.compare = options.compare;
  return examine(examination);
}

int run_doctor(const DoctorOptions& options, const ServerOption& server) {
  std::optional<Patient> patient;
  try {
    patient.emplace(options, server);
  } catch (const NoUrl& error) {
    say(error.what());
    return unknown;
  } catch (const std::invalid_argument& error) {
    say(error.what());
    return unknown;
  }
  const auto findings = examine_one(*patient, options);
  const auto worst = std::max_element(findings.begin(), findings.end(),
                                      [](const Finding& a, const Finding& b) { return a.level < b.level; });
  const int status = worst == findings.end() ? unknown : static_cast<int>(worst->level);
  if (options.json) {
    print_doctor_json(findings, patient->name, status);
  } else {
    print_doctor(findings);
  }
  return status;
}

}  // namespace

Run add_doctor(CLI::App& app, const ServerOption& server) {
  set_help(app, doctor_usage, std::string{where_the_url_is} + "\n\n" + doctor_details);
  const auto options = std::make_shared<DoctorOptions>();
  app.add_flag("--json", options->json, "print a JSON object");
  app.add_flag("--write", options->writes, "take a lock, too, to see whether that works");
  app.add_option("--compare", options->compare, "whether this URL leads to the same server and database")
      ->type_name("URL");
  app.add_option("--key", options->key, "whether the user may lock this key; default: redismutex-doctor:x")
      ->type_name("KEY");
  return [options, &server] { return run_doctor(*options, server); };
}

}  // namespace redismutex::cli
