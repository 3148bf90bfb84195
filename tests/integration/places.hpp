#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <redismutex/redismutex.hpp>
#include <string>
#include <vector>

namespace redismutex::testing {

/// Where locks are kept, and what a test may do there by hand.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  virtual ~Place() = default;

  /// A new one each time.
  virtual Connection connect() = 0;

  /// What is stored at a lock's key; nothing if it is free.
  virtual std::optional<std::string> stored(const std::string& key) = 0;

  /// Takes the lock as any client of the common pattern does (SET NX PX); whether it was free.
  virtual bool take(const std::string& key, const std::string& value, std::chrono::milliseconds lease) = 0;

  virtual void remove(const std::string& key) = 0;

  /// How many wait for the lock.
  virtual long long waiting(const std::string& key) = 0;

  /// Ends all connections, as a firewall or an administrator does.
  virtual void cut_connections() = 0;

  /// All that is stored there, for locks that are held or waited for, or left behind.
  virtual std::vector<std::string> keys() = 0;
};

struct KindOfPlace {
  std::string name;
  std::function<std::unique_ptr<Place>()> make;
};

/// Each way in which a Connection can lead somewhere. places.cpp has those of one server: by a unix socket, by TCP, by TLS, and inside the process.
/// places_of_many.cpp has those of several servers, for a program of their own, in which all tests share them.
const std::vector<KindOfPlace>& kinds_of_place();

}  // namespace redismutex::testing
