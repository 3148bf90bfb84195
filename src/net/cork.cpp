#include "net/cork.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "net/link.hpp"

namespace redismutex::net {
namespace {

thread_local constinit Cork* here = nullptr;

}  // namespace

Cork::Cork(std::size_t most_left) noexcept : outer_{std::exchange(here, this)}, most_left_{most_left} {}

Cork::~Cork() {
  here = outer_;
  if (generation_ != fork_generation()) return;
  for (const Held& each : std::span{links_}.first(count_)) {
    if (const std::shared_ptr<Link> link = each.link.lock()) link->flush();
  }
}

bool Cork::holds(Link& link) noexcept { return here != nullptr && here->hold(link); }

bool Cork::hold(Link& link) noexcept {
  if (is_loose_ || generation_ != fork_generation()) return false;
  const auto known = std::span{links_}.first(count_);
  const std::weak_ptr<Link> wanted = link.weak_from_this();
  const auto is_it = [&wanted](const Held& each) {
    return !each.link.owner_before(wanted) && !wanted.owner_before(each.link);
  };
  const auto found = std::find_if(known.begin(), known.end(), is_it);
  if (found != known.end()) {
    if (++found->left <= most_left_) return true;
    found->left = 0;
    return false;
  }
  if (count_ == most_links || wanted.expired()) return false;
  links_.at(count_++) = {wanted, 1};
  return true;
}

}  // namespace redismutex::net
