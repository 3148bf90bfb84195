#include "net/reactor.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <span>
#include <system_error>
#include <utility>

#include "net/fork.hpp"
#include "net/thread.hpp"
#include "net/workers.hpp"

namespace redismutex::net {
namespace {

thread_local const Reactor* running_here = nullptr;

Socket open_or_throw(const char* what, const std::function<int()>& open) {
  Socket opened = Socket::opened_by(open);
  if (!opened.valid()) throw std::system_error{errno, std::generic_category(), what};
  return opened;
}

bool control_epoll(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t id) noexcept {
  epoll_event event{.events = events, .data = {.u64 = id}};
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

/// Each write to it, and each end of its time, is told once: nobody reads it.
void watch_own(const Socket& epoll, const Socket& own, std::uint64_t id) {
  if (!control_epoll(epoll.get(), EPOLL_CTL_ADD, own.get(), EPOLLIN | EPOLLET, id))
    throw std::system_error{errno, std::generic_category(), "epoll_ctl"};
}

}  // namespace

BootTime boot_now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// ---- one for the process --------------------------------------------------------------------------------------------

struct Reactor::Slot {
  std::mutex mutex;  // held while one is made
  std::weak_ptr<Reactor> reactor;
};

std::shared_ptr<Reactor> Reactor::shared() {
  static constinit OnePerProcess<Slot> slots;
  Slot& slot = slots.get();
  const std::lock_guard lock{slot.mutex};
  std::shared_ptr<Reactor> reactor = slot.reactor.lock();
  if (!reactor) {
    reactor = {new Reactor, end};
    slot.reactor = reactor;
  }
  return reactor;
}

/// The last owner has gone.
void Reactor::end(Reactor* reactor) noexcept {
  if (reactor->generation_ != fork_generation()) return;  // the parent's
  // A thread does not wait for its own end: the reactor's thread sees to it, when what runs now is through.
  if (reactor->runs_this_thread() || reactor->workers_->runs_this_thread()) {
    reactor->end_ = End::stop_alone;
    reactor->wake();
    return;
  }
  delete reactor;
}

Reactor::Reactor()
    : generation_{fork_generation()},
      epoll_{open_or_throw("epoll_create1", [] { return ::epoll_create1(EPOLL_CLOEXEC); })},
      alarm_{
          open_or_throw("timerfd_create", [] { return ::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK); })},
      wake_up_{open_or_throw("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })},
      workers_{std::make_unique<Workers>(*this)} {
  watch_own(epoll_, wake_up_, id_of_wake_up);
  watch_own(epoll_, alarm_, id_of_alarm);
  thread_ = Thread{[this] { run(); }};
}

Reactor::~Reactor() {
  workers_.reset();
  if (!thread_.joinable()) return;  // this is the thread
  end_ = End::stop;
  wake();
  thread_.join();
}

bool Reactor::runs_this_thread() const noexcept { return running_here == this; }

void Reactor::wake() const noexcept { ::eventfd_write(wake_up_.get(), 1); }

// ---- the thread -----------------------------------------------------------------------------------------------------

void Reactor::run() noexcept {  // NOLINT(bugprone-exception-escape): detach() of a thread that runs throws nothing
  running_here = this;
  while (end_ == End::none) {
    if (wait_and_dispatch()) continue;
    // A program that closes all its descriptors closes ours. The timers go on.
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
    fire();
  }
  if (end_ == End::stop) return;
  thread_.detach();
  delete this;
}

/// False: nothing can be waited for.
bool Reactor::wait_and_dispatch() noexcept {
  constexpr int for_ever = -1, not_at_all = 0;
  std::array<epoll_event, 64> events{};
  const int how_long = fall_asleep() ? for_ever : not_at_all;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), how_long);
  const bool interrupted = count < 0 && errno == EINTR;
  wake_up(std::span{events.data(), static_cast<std::size_t>(std::max(count, 0))});
  if (count < 0 && !interrupted) return false;
  for (const epoll_event& event : std::span{events.data(), static_cast<std::size_t>(std::max(count, 0))}) {
    if (event.data.u64 > last_own_id) dispatch(event.data.u64, event.events);
  }
  fire();
  return true;
}

/// Not if there is something to do already. From then on others have to wake it.
bool Reactor::fall_asleep() noexcept {
  const std::lock_guard lock{mutex_};
  if (!agenda_.empty() && agenda_.begin()->first <= boot_now()) return false;
  asleep_ = true;
  set_alarm();
  return true;
}

void Reactor::wake_up(std::span<const epoll_event> events) noexcept {
  const std::lock_guard lock{mutex_};
  asleep_ = false;
  for (const epoll_event& event : events) {
    if (event.data.u64 == id_of_alarm) alarm_at_ = BootTime::max();
  }
}

/// The source may have left since epoll said so; and what it was armed for may have been taken back.
void Reactor::dispatch(std::uint64_t id, std::uint32_t events) noexcept {
  std::unique_lock lock{mutex_};
  const auto place = sources_.find(id);
  if (place == sources_.end()) return;
  Source* const source = place->second;
  if (source->wanted_.exchange(0) == 0) return;
  running_source_ = id;
  lock.unlock();
  source->ready(events);
  lock.lock();
  running_source_ = 0;
  one_is_through_.notify_all();
}

// ---- sources --------------------------------------------------------------------------------------------------------

Reactor::Source::Source(Reactor& reactor) : reactor_{reactor}, generation_{fork_generation()} {
  const std::lock_guard lock{reactor_.mutex_};
  const std::uint64_t id = reactor_.last_id_ + 1;
  reactor_.sources_.emplace(id, this);
  id_ = reactor_.last_id_ = id;
}

Reactor::Source::~Source() { leave(); }

bool Reactor::Source::inherited() const noexcept { return generation_ != fork_generation(); }

bool Reactor::Source::arm(int fd, std::uint32_t events) noexcept {
  if (inherited() || id_ == 0) return false;
  if (events == 0 && watched_ != fd) {
    wanted_ = 0;
    return true;
  }
  // Before epoll knows of it: ready() may run, and the source leave, before this returns.
  const int before = std::exchange(watched_, fd);
  wanted_ = events;
  if (watch(fd, before, events)) return true;
  watched_ = -1;
  wanted_ = 0;
  return false;
}

/// Always EPOLLONESHOT, also for nothing: epoll tells of a hang-up whatever it is asked for, and would do so without end.
bool Reactor::Source::watch(int fd, int before, std::uint32_t events) const noexcept {
  const int epoll = reactor_.epoll_.get();
  const std::uint32_t once = events | EPOLLONESHOT;
  if (before == fd && control_epoll(epoll, EPOLL_CTL_MOD, fd, once, id_)) return true;
  // A descriptor that was closed has left epoll by itself; the number may be another's by now.
  if (before >= 0 && before != fd) control_epoll(epoll, EPOLL_CTL_DEL, before, 0, id_);
  return control_epoll(epoll, EPOLL_CTL_ADD, fd, once, id_);
}

void Reactor::Source::leave() noexcept {
  if (inherited() || id_ == 0) return;
  {
    std::unique_lock lock{reactor_.mutex_};
    reactor_.sources_.erase(id_);
    if (!reactor_.runs_this_thread())
      reactor_.one_is_through_.wait(lock, [this] { return reactor_.running_source_ != id_; });
  }
  // Not before: a ready() that was running may have armed it.
  if (watched_ >= 0) control_epoll(reactor_.epoll_.get(), EPOLL_CTL_DEL, watched_, 0, id_);
  watched_ = -1;
  id_ = 0;
}

// ---- timers ---------------------------------------------------------------------------------------------------------

/// On the agenda or off it: so its place there is allocated once.
struct Reactor::Timer::State : std::enable_shared_from_this<State> {
  explicit State(std::function<void()> what) : expired{std::move(what)} {
    Agenda one;
    off = one.extract(one.emplace(BootTime{}, this));
  }

  const std::function<void()> expired;
  Agenda::node_type off;
  Agenda::iterator on;  // while `off` is empty
};

Reactor::Timer::Timer(Reactor& reactor, std::function<void()> expired)
    : reactor_{reactor}, generation_{fork_generation()}, state_{std::make_shared<State>(std::move(expired))} {}

Reactor::Timer::~Timer() {
  if (inherited()) {
    leave_alone(std::move(state_));
    return;
  }
  std::unique_lock lock{reactor_.mutex_};
  take_off_agenda(reactor_.agenda_, *state_);
  if (reactor_.runs_this_thread()) return;
  reactor_.one_is_through_.wait(lock, [this] { return reactor_.running_timer_ != state_.get(); });
}

bool Reactor::Timer::inherited() const noexcept { return generation_ != fork_generation(); }

void Reactor::Timer::set(BootTime at) noexcept {
  if (inherited()) return;
  const std::lock_guard lock{reactor_.mutex_};
  take_off_agenda(reactor_.agenda_, *state_);
  reactor_.put_on_agenda(*state_, at);
}

void Reactor::Timer::set_no_later_than(BootTime at) noexcept {
  if (inherited()) return;
  const std::lock_guard lock{reactor_.mutex_};
  if (state_->off.empty() && state_->on->first <= at) return;
  take_off_agenda(reactor_.agenda_, *state_);
  reactor_.put_on_agenda(*state_, at);
}

void Reactor::Timer::cancel() noexcept {
  if (inherited()) return;
  const std::lock_guard lock{reactor_.mutex_};
  take_off_agenda(reactor_.agenda_, *state_);
}

void Reactor::put_on_agenda(Timer::State& timer, BootTime at) noexcept {
  timer.off.key() = at;
  timer.on = agenda_.insert(std::move(timer.off));
  if (!asleep_ || agenda_.begin() != timer.on || at >= alarm_at_) return;
  if (at > boot_now()) return set_alarm();
  asleep_ = false;
  wake();
}

void Reactor::take_off_agenda(Agenda& agenda, Timer::State& timer) noexcept {
  if (timer.off.empty()) timer.off = agenda.extract(timer.on);
}

/// With the lock held, while the thread sleeps: before that it looks by itself. An alarm that is set already and goes off earlier stays:
/// whenever the thread falls asleep it sets the next.
void Reactor::set_alarm() noexcept {
  if (agenda_.empty() || agenda_.begin()->first >= alarm_at_) return;
  alarm_at_ = agenda_.begin()->first;
  const auto at = std::max(alarm_at_, BootTime{1});  // a time of zero would switch the alarm off
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const itimerspec setting{.it_interval = {},
                           .it_value = {.tv_sec = seconds.count(), .tv_nsec = (at - seconds).count()}};
  ::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

/// What is due by now. What is set meanwhile has its turn afterwards, so that sources do, too.
void Reactor::fire() noexcept {
  std::unique_lock lock{mutex_};
  if (agenda_.empty()) return;
  const BootTime until = boot_now();
  while (!agenda_.empty() && agenda_.begin()->first <= until && end_ == End::none) {
    // A copy: the timer may be destroyed by what it does.
    std::shared_ptr<Timer::State> timer = agenda_.begin()->second->weak_from_this().lock();
    take_off_agenda(agenda_, *timer);
    running_timer_ = timer.get();
    lock.unlock();
    timer->expired();
    lock.lock();
    running_timer_ = nullptr;
    one_is_through_.notify_all();
    lock.unlock();
    timer.reset();
    lock.lock();
  }
}

// ---- kicks ----------------------------------------------------------------------------------------------------------

int Reactor::borrow_kick() {
  const std::lock_guard lock{mutex_};
  if (spare_kicks_.empty()) {
    kicks_.reserve(kicks_.size() + 1);
    spare_kicks_.reserve(kicks_.size() + 1);
    kicks_.push_back(open_or_throw("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }));
    return kicks_.back().get();
  }
  const int fd = spare_kicks_.back();
  spare_kicks_.pop_back();
  return fd;
}

void Reactor::give_back_kick(int fd) noexcept {
  const std::lock_guard lock{mutex_};
  spare_kicks_.push_back(fd);
}

BorrowedKick::BorrowedKick(Reactor& reactor) : reactor_{reactor}, fd_{reactor.borrow_kick()} { clear(); }

BorrowedKick::~BorrowedKick() {
  if (reactor_.generation_ != fork_generation()) return;
  clear();
  reactor_.give_back_kick(fd_);
}

void BorrowedKick::clear() const noexcept {
  eventfd_t ignored = 0;
  ::eventfd_read(fd_, &ignored);
}

void BorrowedKick::kick(int fd) noexcept { ::eventfd_write(fd, 1); }

}  // namespace redismutex::net
