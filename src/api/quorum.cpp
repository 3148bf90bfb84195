#include "api/quorum.hpp"

namespace redismutex::api {
namespace {

using Members = std::vector<std::shared_ptr<Runtime>>;

std::shared_ptr<const engine::Panel> panel_of(const Members& members, const QuorumOptions& options) {
  std::vector<engine::Panel::Member> all;
  for (const auto& member : members) {
    all.push_back({.session = {member, &member->session()}, .name = member->server_name()});
  }
  return std::make_shared<const engine::Panel>(std::move(all), options.grace);
}

std::string name_of(const Members& members) {
  std::string name = "the quorum of ";
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (i > 0) name += i + 1 == members.size() ? " and " : ", ";
    name += members[i]->server_name();
  }
  return name;
}

}  // namespace

Quorum::Quorum(Members members, const QuorumOptions& options)
    : members_{std::move(members)}, panel_{panel_of(members_, options)}, name_{name_of(members_)} {}

void Quorum::survey() noexcept {
  for (const auto& member : members_) member->survey();
}

}  // namespace redismutex::api
