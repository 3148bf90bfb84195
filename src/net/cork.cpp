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
  if (generation_ != fork_generation()) {
    leave_alone(std::move(links_));
    return;
  }
  for (const std::shared_ptr<Link>& link : std::span{links_}.first(count_)) link->flush();
}

bool Cork::holds(Link& link) noexcept { return here != nullptr && here->hold(link); }

bool Cork::hold(Link& link) noexcept {
  if (is_loose_ || generation_ != fork_generation()) return false;
  const auto known = std::span{links_}.first(count_);
  const auto is_it = [&link](const std::shared_ptr<Link>& each) { return each.get() == &link; };
  if (std::any_of(known.begin(), known.end(), is_it)) return true;
  if (count_ == most_links) return false;
  links_.at(count_) = link.weak_from_this().lock();
  if (!links_.at(count_)) return false;
  ++count_;
  return true;
}

}  // namespace redismutex::net
