#include "told.hpp"

#include "moments.hpp"

namespace redismutex::cli {

std::string told_text(const Inspection& was) {
  constexpr auto meanwhile = " Until it stops, two may be inside; a fencing token lets the resource refuse it.";
  if (was.label && was.label->left) return "it was left locked: there was nobody to tell";
  if (was.connected == true) return std::string{"it is connected, and was told in the same moment."} + meanwhile;
  if (was.connected == false) return "it is gone: there was nobody to tell";
  const std::string at_latest =
      was.lease_left ? ", within " + duration_text(*was.lease_left) + " at the latest" : std::string{};
  return "whether it is connected is not known: it notices at its next renewal" + at_latest + "." + meanwhile;
}

}  // namespace redismutex::cli
