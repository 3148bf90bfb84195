#include "api/where.hpp"

#include <stdexcept>

#include "api/runtimes.hpp"

namespace redismutex::api {

void check_place(const Runtimes& runtimes, const Options& options) {
  if (!runtimes.is_quorum() || options.replicas.is_off()) return;
  throw std::invalid_argument{
      "replicas is for Connections to one server, to sentinels and to a cluster, not for a quorum"};
}

}  // namespace redismutex::api
