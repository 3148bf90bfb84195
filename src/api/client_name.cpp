#include "api/client_name.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace redismutex::api {
namespace {

constexpr std::size_t longest_name = 128;
constexpr std::size_t longest_lead = 40;
constexpr std::size_t longest_host = 64;  // HOST_NAME_MAX

// So much of the purpose is shown, however long the host's name is: as much as the kernel keeps of a program's.
constexpr std::size_t least_purpose = 15;

std::string clean(std::string_view text, std::string_view unwanted) {
  std::string cleaned{text};
  std::replace_if(
      cleaned.begin(), cleaned.end(),
      [unwanted](char c) { return c < '!' || c > '~' || unwanted.find(c) != std::string_view::npos; }, '_');
  return cleaned;
}

std::string host_name() {
  std::array<char, longest_host + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

}  // namespace

std::string text_of(const ClientName& name) {
  const std::string pid = std::to_string(name.pid);
  const std::string purpose = clean(name.purpose, ":");
  std::string text = clean(name.lead.substr(0, longest_lead), "");
  text.append(":").append(name.tag.text()).append(":");
  const std::size_t left = longest_name - text.size() - pid.size() - 2;
  text.append(clean(name.host, ":").substr(0, left - std::min(purpose.size(), least_purpose)));
  text.append(":").append(pid).append(":").append(purpose);
  text.resize(std::min(text.size(), longest_name));
  return text;
}

std::string client_name(const std::string& chosen, protocol::Tag tag) {
  const std::string host = host_name();
  return text_of({.lead = chosen.empty() ? std::string_view{"redismutex"} : std::string_view{chosen},
                  .tag = tag,
                  .host = host,
                  .pid = ::getpid(),
                  .purpose = program_invocation_short_name});
}

}  // namespace redismutex::api
