// fork(): a child has a connection of its own and none of its parent's locks, and the parent does not notice it.

#include <netdb.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <future>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "support/certificates.hpp"
#include "support/channel.hpp"
#include "support/descriptors.hpp"
#include "support/exclusion_witness.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/sanitizers.hpp"
#include "thrown.hpp"
#include "timeouts.hpp"
#include "with_server.hpp"

namespace redismutex::testing {
namespace {

using namespace std::chrono_literals;

struct Fork : WithServer {
  Connection named = [this] {
    ConnectionOptions options = with(long_timeouts, parse_url(server.url()));
    options.client_name = "forking";
    return Connection{options};
  }();
  std::optional<RedisMutex> mutex{std::in_place, named, patient};

  /// The server's numbers of the connections that are ours, or our children's.
  static std::set<std::string> client_ids(Server& at) {
    std::set<std::string> ids;
    std::istringstream lines(at.command({"CLIENT", "LIST"}).text);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(" name=forking:") != std::string::npos) ids.insert(line.substr(0, line.find(' ')));
    }
    return ids;
  }
  std::set<std::string> client_ids() { return client_ids(server); }
};

// The child of a process that is connected opens a socket of its own; the parent goes on with the one that it had, also
// when the child has destroyed its copies of everything, and ended.
TEST_F(Fork, ChildHasAConnectionOfItsOwn) {
  auto lock = std::make_unique<Lock>(mutex->acquire_lock("parent's"));
  const auto before = client_ids();
  ASSERT_EQ(before.size(), 1u);
  Channel to_child, to_parent;
  const ChildProcess child([&] {
    mutex->acquire_lock("child's").release();
    named.ping();
    to_parent.send("connected");
    to_child.receive(limit);
    lock.reset();
    mutex.reset();
    named = Connection{};
    to_parent.send("disconnected");
    to_child.receive(limit);
    return 0;
  });
  ASSERT_EQ(to_parent.receive(limit), "connected");
  const auto both = client_ids();
  EXPECT_EQ(both.size(), 2u);
  EXPECT_TRUE(both.contains(*before.begin()));
  lock->extend();
  to_child.send("go on");
  ASSERT_EQ(to_parent.receive(limit), "disconnected");
  EXPECT_TRUE(eventually(limit, [&] { return client_ids() == before; }));
  EXPECT_EQ(server.get("parent's"), lock->value());
  lock->extend();
  to_child.send("go on");
  EXPECT_EQ(child.wait(limit), exited(0));
  lock->release();
  EXPECT_EQ(client_ids(), before) << "it has been the same connection all the time";
}

// Nothing that was locked before the fork is locked by the child: it can not release or extend it, and its end of it is
// silent. Of what the child locks, the parent has nothing either.
TEST_F(Fork, ChildOwnsNoneOfItsParentsLocks) {
  auto lock = mutex->acquire_lock("key");
  const auto value = lock.value();
  const auto lost = lock.lost_token();
  server.command({"CONFIG", "RESETSTAT"});
  const ChildProcess child([&] {
    if (lock.owns_lock() || lock || lock.valid_for() != 0ms || lock.loss() != Loss::gone) return 1;
    thrown<MutexUnlockError>([&] {
      lock.extend();
      return 0;
    });
    thrown<MutexUnlockError>([&] {
      lock.release();
      return 0;
    });
    if (mutex->try_acquire_lock("key")) return 2;
    const auto own = mutex->acquire_lock("own");
    return own.owns_lock() && own.value() != value ? 0 : 3;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(lock.owns_lock());
  EXPECT_FALSE(lost.stop_requested());
  EXPECT_EQ(server.get("key"), value);
  lock.release();
}

// The destructor of a parent's lock sends nothing in the child.
TEST_F(Fork, ParentsLockEndsSilentlyInTheChild) {
  auto lock = std::make_unique<Lock>(mutex->acquire_lock("key"));
  const auto lost = lock->lost_token();
  const ChildProcess child([&] {
    lock.reset();
    return 0;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_EQ(server.get("key"), lock->value());
  EXPECT_EQ(client_ids().size(), 1u);
}

// Ids are random in the child too, not the ones that the parent is going to use.
TEST_F(Fork, ParentAndChildrenDrawDifferentIds) {
  constexpr int children = 5, ids_each = 40;
  std::set<std::string> ids{mutex->acquire_lock("key").value()};
  Channel events;
  const auto draw = [&] {
    for (int n = 0; n < ids_each; ++n) events.send(mutex->acquire_lock("key").value());
    return 0;
  };
  {
    std::vector<ChildProcess> all;
    for (int i = 0; i < children; ++i) all.emplace_back(draw);
    draw();
    for (const auto& child : all) EXPECT_EQ(child.wait(limit), exited(0));
  }
  for (const auto& id : events.drain()) ids.insert(id);
  EXPECT_EQ(ids.size(), 1u + (children + 1) * ids_each);
}

/// Forks again and again while threads of this process lock; each child locks too, with threads of its own.
void fork_amid_traffic(const RedisMutex& mutex, int forks) {
  // AddressSanitizer's own memory manager may be locked by a thread of the parent at the fork, and then is so for ever in
  // the child: there the only traffic is that of the children.
  constexpr int threads = 4, turns_in_child = 10, threads_of_parent = under_address_sanitizer ? 0 : threads;
  ExclusionWitness witness;
  std::atomic<bool> done = false;
  const auto lock_once = [&](const std::string& own_key) {
    auto own = mutex.acquire_lock(own_key);
    auto shared = mutex.acquire_lock("shared");
    witness.enter();
    witness.leave();
    shared.release();
    own.release();
  };
  {
    std::vector<std::jthread> parents;
    for (int i = 0; i < threads_of_parent; ++i) {
      parents.emplace_back([&, i] {
        // Each turn is a thread's first and last: OpenSSL takes locks of its own then.
        while (!done) std::jthread{[&] { lock_once("parent " + std::to_string(i)); }};
      });
    }
    std::vector<ChildProcess> children;
    for (int n = 0; n < forks; ++n) {
      children.emplace_back([&, n] {
        std::vector<std::jthread> own_threads;
        for (int i = 0; i < threads; ++i) {
          const auto work = [&, i] {
            const auto own_key = "child " + std::to_string(n) + " " + std::to_string(i);
            for (int turn = 0; turn < turns_in_child; ++turn) lock_once(own_key);
          };
          // ThreadSanitizer knows no threads in the child of a process that had any.
          under_thread_sanitizer ? work() : static_cast<void>(own_threads.emplace_back(work));
        }
        return 0;
      });
      if (children.size() < 4) continue;
      EXPECT_EQ(children.front().wait(limit), exited(0));
      children.erase(children.begin());
    }
    for (const auto& child : children) EXPECT_EQ(child.wait(limit), exited(0));
    done = true;
  }
  EXPECT_EQ(witness.most_inside(), 1);
  EXPECT_GE(witness.entries(), forks * threads * turns_in_child);
}

// At whatever moment of the parent's traffic the fork comes, children and parent go on; and all together still exclude
// each other. The parent keeps its one connection.
TEST_F(Fork, AmidTheTrafficOfOtherThreads) {
  mutex->acquire_lock("shared").release();
  const auto before = client_ids();
  fork_amid_traffic(*mutex, 40);
  EXPECT_TRUE(eventually(limit, [&] { return client_ids() == before; }));
}

// A TLS session is more than its socket: one byte sent by a child would break the parent's.
TEST_F(Fork, AmidTheTrafficOverTls) {
  const Certificates certificates;
  Server secure({.tls = certificates.tls(certificates.server())});
  ConnectionOptions options = with(long_timeouts, parse_url(secure.tls_url() + "?ca_file=" + certificates.ca_file()));
  options.client_name = "forking";
  const RedisMutex own{Connection{options}, patient};
  own.acquire_lock("shared").release();
  const auto before = client_ids(secure);
  fork_amid_traffic(own, 10);
  EXPECT_TRUE(eventually(limit, [&] { return client_ids(secure) == before; }));
}

// Another thread of the parent is in the midst of dialling: nobody does in the child, so it dials for itself.
TEST_F(Fork, WhileAnotherThreadDials) {
  Proxy proxy(server);
  const RedisMutex own{connect(proxy.url(), long_timeouts), patient};
  proxy.freeze();
  auto parents = std::async(std::launch::async, [&] { own.acquire_lock("parent's").release(); });
  EXPECT_EQ(parents.wait_for(quiet_time), std::future_status::timeout);
  const ChildProcess child([&] {
    own.acquire_lock("child's").release();
    return 0;
  });
  EXPECT_TRUE(eventually(limit, [&] { return proxy.connections() == 2; }));
  proxy.pass();
  EXPECT_EQ(child.wait(limit), exited(0));
  parents.get();
}

// A child that lives on, and never uses the connection, does not keep the parent's alive: neither one that was up at the
// fork, nor one that another thread was just dialling.
TEST_F(Fork, ChildDoesNotKeepItsParentsConnection) {
  Proxy proxy(server);
  ConnectionOptions options = with(long_timeouts, parse_url(proxy.url()));
  std::optional<Connection> up{std::in_place, options}, dialled{std::in_place, options};
  up->ping();
  proxy.freeze();
  auto dialling = std::async(std::launch::async, [&] { dialled->ping(); });
  EXPECT_TRUE(eventually(limit, [&] { return proxy.connections() == 2; }));
  Channel to_child;
  const ChildProcess child([&] {
    to_child.receive(limit);
    return 0;
  });
  proxy.pass();
  dialling.get();
  EXPECT_EQ(server.connected_clients(), 2);
  up.reset();
  EXPECT_TRUE(eventually(2s, [&] { return server.connected_clients() == 1; }));
  dialled.reset();
  EXPECT_TRUE(eventually(2s, [&] { return server.connected_clients() == 0; }));
  to_child.send("end");
  EXPECT_EQ(child.wait(limit), exited(0));
}

/// What other threads of the parent do again and again while it forks. AddressSanitizer's memory manager may be locked by one of
/// them, see above: there nobody does.
class Busy {
 public:
  explicit Busy(const std::function<void()>& work) {
    constexpr int threads = under_address_sanitizer ? 0 : 4;
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([work](const std::stop_token& stop) {
        while (!stop.stop_requested()) work();
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

// The C library's locks are taken in a child that was forked amid a look-up of the program's own. Neither an address nor
// `localhost` needs one.
TEST(ForkAmidLookUps, ChildrenNeedNone) {
  Server server({.tcp = true});
  const Busy looks_up([] {
    addrinfo* found = nullptr;
    if (::getaddrinfo("localhost", "1", nullptr, &found) == 0) ::freeaddrinfo(found);
  });
  for (int n = 0; n < 200; ++n) {
    const ChildProcess child([&] {
      const Connection connection{"redis://localhost:" + std::to_string(server.port())};
      RedisMutex{connection, patient}.acquire_lock("key").release();
      return 0;
    });
    ASSERT_EQ(child.wait(limit), exited(0));
  }
}

// At whatever moment the fork comes: amid look-ups, dialling, handshakes and logins, pushes that hand locks over, and the beginning
// and end of the library's own threads. The child can lock, and its end takes no time.
TEST_F(Fork, AmidEverythingAtOnce) {
  constexpr int enough = 300;
  constexpr int forks = sanitized ? enough : 5000;
  constexpr int at_a_time = 4;
  const Certificates certificates;
  Server secure({.tcp = true, .tls = certificates.tls(certificates.server())});
  const std::string secure_url = secure.tls_url() + "?ca_file=" + certificates.ca_file();
  std::atomic<int> next_work{0};
  const Busy parents([&] {
    thread_local const int work = next_work++;
    switch (work % 4) {
      case 0: {
        addrinfo* found = nullptr;
        if (::getaddrinfo("localhost", "1", nullptr, &found) == 0) ::freeaddrinfo(found);
        break;
      }
      case 1: Connection{server.url()}.ping(); break;
      case 2: Connection{secure_url}.ping(); break;
      default: {
        const RedisMutex own{named, {.block_time = limit, .local_handoffs = 0}};
        const auto others = std::async(std::launch::async, [&] { own.acquire_lock("handed over").release(); });
        const auto lock = own.acquire_lock("handed over");
        (void)lock.lost_token();
      }
    }
  });
  std::vector<ChildProcess> children;
  // A busy machine takes 0.1 s for a fork of so large a process.
  const auto end = std::chrono::steady_clock::now() + 30s;
  for (int n = 0; n < forks && (n < enough || std::chrono::steady_clock::now() < end); ++n) {
    children.emplace_back([&, n] {
      const Connection own{n % 10 == 0 ? secure_url : server.url()};
      RedisMutex{own, patient}.acquire_lock("child's " + std::to_string(n % at_a_time)).release();
      return 0;
    });
    if (children.size() < at_a_time) continue;
    ASSERT_EQ(children.front().wait(limit), exited(0)) << n << ": " << children.front().stderr_text();
    children.erase(children.begin());
  }
  for (const auto& child : children) EXPECT_EQ(child.wait(limit), exited(0));
}

// A thread of the parent is inside unlock() nearly always.
TEST_F(Fork, AmidUnlocks) {
  Mutex shared{named, "key", patient};
  const Busy unlocks([&] { shared.unlock(); });
  for (int n = 0; n < 50; ++n) {
    const ChildProcess child([&] {
      shared.lock();
      shared.unlock();
      return 0;
    });
    ASSERT_EQ(child.wait(limit), exited(0));
  }
}

// The ids of a child tell its own connection, and the parent's stay what they were.
TEST_F(Fork, ChildHasATagOfItsOwn) {
  const auto names = [&] {
    std::set<std::string> found;
    std::istringstream words(server.command({"CLIENT", "LIST"}).text);
    for (std::string word; words >> word;) {
      if (word.starts_with("name=forking:")) found.insert(word.substr(word.find(':') + 1));
    }
    return found;
  };
  const auto tag_of_id = [](const std::string& id) { return id.substr(0, 8) + id.substr(9, 2); };
  const std::string parents = tag_of_id(mutex->acquire_lock("parent's").value());
  Channel to_child, to_parent;
  const ChildProcess child([&] {
    const Lock lock = mutex->acquire_lock("child's");
    to_parent.send(tag_of_id(lock.value()));
    to_child.receive(limit);
    return 0;
  });
  const auto childs = to_parent.receive(limit);
  ASSERT_TRUE(childs);
  EXPECT_NE(*childs, parents);
  EXPECT_EQ(tag_of_id(mutex->acquire_lock("parent's").value()), parents);
  const auto present = names();
  const auto is_there = [&](const std::string& tag, pid_t pid) {
    return std::any_of(present.begin(), present.end(), [&](const std::string& name) {
      return name.starts_with(tag + ":") && name.find(":" + std::to_string(pid) + ":") != std::string::npos;
    });
  };
  EXPECT_TRUE(is_there(parents, ::getpid())) << ::testing::PrintToString(present);
  EXPECT_TRUE(is_there(*childs, child.pid())) << ::testing::PrintToString(present);
  to_child.send("end");
  EXPECT_EQ(child.wait(limit), exited(0));
}

/// Has the process fork at the moment in which one of its threads begins to wait.
class ForksAtContention final : public Observer {
 public:
  void wait_began(const WaitBegan& /*event*/) noexcept override {
    if (child_ < 0) child_ = ::fork();
  }
  pid_t child() const noexcept { return child_; }

 private:
  pid_t child_ = -1;
};

// A fork within a wait, in a callback: the parent goes on waiting. The child's wait ends with an error, whether the wait was in the
// line of its own process or at the server; and its next request goes well.
TEST_F(Fork, WithinAWait) {
  for (const bool in_own_line : {true, false}) {
    const auto observer = std::make_shared<ForksAtContention>();
    ConnectionOptions options = with(long_timeouts, parse_url(server.url()));
    options.observer = observer;
    const RedisMutex own{Connection{options}, patient};
    const Lock held = (in_own_line ? own : *mutex).acquire_lock("key");
    const pid_t parent = ::getpid();
    bool failed = false;
    try {
      EXPECT_FALSE(own.try_acquire_lock_for("key", 200ms));
    } catch (const LockCancelled&) {
      failed = true;
    }
    if (::getpid() != parent) {
      try {
        own.acquire_lock("child's").release();
      } catch (const std::exception&) {
        ::_exit(1);
      }
      ::_exit(failed ? 0 : 2);
    }
    EXPECT_FALSE(failed);
    int status = -1;
    ASSERT_EQ(::waitpid(observer->child(), &status, 0), observer->child());
    EXPECT_EQ(status, 0);
  }
}

// A child's child is no different; neither from its parent nor from its parent's parent has it anything.
TEST_F(Fork, Grandchildren) {
  const auto lock = mutex->acquire_lock("grandparent's");
  const ChildProcess child([&] {
    const auto own = mutex->acquire_lock("parent's");
    const ChildProcess grandchild([&] {
      if (lock || own) return 1;
      mutex->acquire_lock("child's").release();
      return 0;
    });
    return grandchild.wait(limit) == exited(0) && own ? 0 : 2;
  });
  EXPECT_EQ(child.wait(limit), exited(0));
  EXPECT_TRUE(lock);
}

}  // namespace
}  // namespace redismutex::testing
