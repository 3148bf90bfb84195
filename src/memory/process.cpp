#include "memory/process.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <utility>

namespace redismutex::memory {
namespace {

constinit std::atomic<Process*> present{nullptr};

}  // namespace

Process& Process::current() noexcept { return *present.load(); }

void Process::begin() {
  present.store(new Process{nullptr});
  ::pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child);
}

void Process::before_fork() { current().mutex_.lock(); }

void Process::after_fork_in_parent() { current().mutex_.unlock(); }

void Process::after_fork_in_child() {
  Process& parent = current();
  for (const auto& [name, host] : parent.hosts_) host->close_all();
  for (const int fd : std::exchange(parent.descriptors_, {})) ::close(fd);
  present.store(new Process{&parent});
  parent.mutex_.unlock();
}

std::shared_ptr<Host> Process::host(const std::string& name) {
  const std::lock_guard lock{mutex_};
  std::shared_ptr<Host>& host = hosts_[name];
  if (!host) host = std::make_shared<Host>(*this, name, Server::Conduct{});
  return host;
}

std::shared_ptr<Host> Process::make_host(const std::string& name, Server::Conduct conduct) {
  const std::lock_guard lock{mutex_};
  std::shared_ptr<Host>& host = hosts_[name];
  if (host) throw std::invalid_argument{"memory:" + name + " is there already"};
  host = std::make_shared<Host>(*this, name, conduct);
  return host;
}

void Process::remove(const Host& host) noexcept {
  std::shared_ptr<Host> removed;
  {
    const std::lock_guard lock{mutex_};
    const auto place = hosts_.find(host.name());
    if (place == hosts_.end() || place->second.get() != &host) return;
    removed = std::move(place->second);
    hosts_.erase(place);
  }
  removed->go_away();
}

std::string Process::unused_name() {
  const std::lock_guard lock{mutex_};
  std::string name;
  do {
    name = std::to_string(++names_);
  } while (hosts_.contains(name));
  return name;
}

LuaHost& Process::lua() {
  if (!lua_) lua_ = std::make_unique<LuaHost>();
  return *lua_;
}

void Process::close(int fd) noexcept {
  if (descriptors_.erase(fd) > 0) ::close(fd);
}

std::variant<std::unique_ptr<net::Stream>, net::Failure> connect(const std::string& name) {
  return Process::current().host(name)->connect();
}

}  // namespace redismutex::memory
