#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <redismutex/printable.hpp>
#include <string>
#include <utility>
#include <variant>

#include "engine/conversation.hpp"
#include "engine/lease.hpp"
#include "engine/renewer.hpp"
#include "engine/setting.hpp"
#include "protocol/label.hpp"

namespace redismutex::engine {

/// Of those under way. Belongs to the Background, and outlives the renewer if need be.
struct Renewer::Labels {
  std::size_t under_way = 0;
  bool trouble_told = false;  // to the log
};

/// A label on its way to the server.
class Renewer::Labelling final : public route::Background::Operation {
 public:
  Labelling(const Setting& setting, std::shared_ptr<Labels> labels, const std::shared_ptr<Lease>& lease,
            const protocol::WriteLabel::Terms& terms)
      : labels_{std::move(labels)},
        lease_{lease},
        key_{lease->key()},
        machine_{key_, lease->id(), terms},
        conversation_{setting.environment(), setting.router(), machine_,
                      setting.terms_sparing_absent(setting.patience())} {}

  route::Procedure& procedure() noexcept override { return conversation_; }

  void over(End end) noexcept override {
    --labels_->under_way;
    const auto lease = lease_.lock();
    if (lease) lease->note_label_over();
    const auto* refusal = std::get_if<protocol::Refusal>(&machine_.outcome());
    const bool is_written = end == End::done && !conversation_.failure() && refusal == nullptr;
    if (is_written) {
      labels_->trouble_told = false;
      return;
    }
    if (refusal != nullptr && !std::exchange(labels_->trouble_told, true)) tell_log(*refusal);
    if (lease) lease->put_off_label(Instant::max());
  }

 private:
  /// A server that is away is told of elsewhere.
  void tell_log(const protocol::Refusal& refusal) const noexcept try {
    constexpr std::size_t longest = 80;
    conversation_.server().log(std::string{"the label of lock '"}
                                   .append(printable(key_.text(), longest))
                                   .append("' could not be written; the server said: ")
                                   .append(refusal.text));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): no memory to say so
  }

  const std::shared_ptr<Labels> labels_;
  const std::weak_ptr<Lease> lease_;  // keeps none alive
  const protocol::Key key_;
  protocol::WriteLabel machine_;
  engine::Conversation conversation_;
};

}  // namespace redismutex::engine
