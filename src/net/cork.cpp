#include "net/cork.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "net/link.hpp"

namespace redismutex::net {
namespace {

thread_local constinit Cork* here = nullptr;

}  // namespace

Cork::Cork() noexcept : outer_{std::exchange(here, this)} {}

Cork::~Cork() {
  here = outer_;
  if (generation_ != fork_generation()) return;
  for (const std::weak_ptr<Link>& each : std::span{links_}.first(count_)) {
    if (const std::shared_ptr<Link> link = each.lock()) link->flush();
  }
}

bool Cork::holds(Link& link) noexcept { return here != nullptr && here->hold(link); }

bool Cork::hold(Link& link) noexcept {
  if (is_loose_ || generation_ != fork_generation()) return false;
  const auto known = std::span{links_}.first(count_);
  const std::weak_ptr<Link> wanted = link.weak_from_this();
  const auto is_it = [&wanted](const std::weak_ptr<Link>& each) {
    return !each.owner_before(wanted) && !wanted.owner_before(each);
  };
  if (std::any_of(known.begin(), known.end(), is_it)) return true;
  if (count_ == most_links || wanted.expired()) return false;
  links_.at(count_++) = wanted;
  return true;
}

}  // namespace redismutex::net
