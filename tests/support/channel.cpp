#include "support/channel.hpp"

#include "support/eventually.hpp"

namespace redismutex::testing {

void Channel::send(std::string_view line) const { file_.append(std::string(line) + '\n'); }

std::optional<std::string> Channel::receive(std::chrono::milliseconds limit) {
  std::optional<std::string> line;
  eventually(limit, [&] {
    const auto unread = file_.read(read_);
    const auto end = unread.find('\n');
    if (end == std::string::npos) return false;
    read_ += end + 1;
    line = unread.substr(0, end);
    return true;
  });
  return line;
}

std::vector<std::string> Channel::drain() {
  std::vector<std::string> lines;
  const auto unread = file_.read(read_);
  std::size_t begin = 0;
  for (auto end = unread.find('\n'); end != std::string::npos; end = unread.find('\n', begin)) {
    lines.push_back(unread.substr(begin, end - begin));
    begin = end + 1;
  }
  read_ += begin;
  return lines;
}

}  // namespace redismutex::testing
