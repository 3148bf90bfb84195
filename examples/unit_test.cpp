// Unit tests of a class that takes a lock, without a server: what it does when the lock is taken, when it is lost, and when it can not be
// had. Links redismutex::testing; docs/testing.md says what else there is.

#include <gtest/gtest.h>

#include <functional>
#include <redismutex/redismutex.hpp>
#include <redismutex/testing.hpp>
#include <stop_token>
#include <utility>

namespace {

/// What is tested: imports all that is there, one process at a time, and stops when it has lost the lock.
class Importer {
 public:
  enum class Result { imported, taken, lost, failed };

  Importer(redismutex::Connection connection, std::function<void()> import_one, int count)
      : mutex_{std::move(connection)}, import_one_{std::move(import_one)}, count_{count} {}

  Result run() const try {
    const auto lock = mutex_.try_acquire_lock("import");
    if (!lock) return Result::taken;
    const std::stop_token lost = lock->lost_token();
    for (int i = 0; i < count_; ++i) {
      if (lost.stop_requested()) return Result::lost;
      import_one_();
    }
    return Result::imported;
  } catch (const redismutex::Error&) {
    return Result::failed;
  }

 private:
  const redismutex::RedisMutex mutex_;
  const std::function<void()> import_one_;
  const int count_;
};

struct ImporterTest : testing::Test {
  redismutex::MemoryServer server;  // of this test alone
  const redismutex::Connection connection{server.url()};
  int imported = 0;
};

TEST_F(ImporterTest, ImportsEverything) {
  const Importer importer{connection, [this] { ++imported; }, 3};
  EXPECT_EQ(importer.run(), Importer::Result::imported);
  EXPECT_EQ(imported, 3);
}

TEST_F(ImporterTest, LeavesItToTheOneWhoIsAtIt) {
  const redismutex::RedisMutex elsewhere{redismutex::Connection{server.url()}};  // as in another process
  const auto lock = elsewhere.acquire_lock("import");
  const Importer importer{connection, [this] { ++imported; }, 3};
  EXPECT_EQ(importer.run(), Importer::Result::taken);
  EXPECT_EQ(imported, 0);
}

TEST_F(ImporterTest, StopsWhenItHasLostTheLock) {
  const auto import_one = [this] {
    if (++imported == 1) server.end_lease("import");
  };
  // More than it gets done before it hears of that.
  const Importer importer{connection, import_one, 1'000'000'000};
  EXPECT_EQ(importer.run(), Importer::Result::lost);
}

TEST_F(ImporterTest, SaysSoWhenThereIsNoServer) {
  server.go_away();
  const Importer importer{connection, [this] { ++imported; }, 3};
  EXPECT_EQ(importer.run(), Importer::Result::failed);
  EXPECT_EQ(imported, 0);
}

}  // namespace
