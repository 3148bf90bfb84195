#pragma once

#include <memory>
#include <utility>

#include "protocol/instant.hpp"
#include "route/procedure.hpp"
#include "route/waker.hpp"

namespace redismutex::route {

/// Where all that happens which no caller waits for: renewals, places in line, clean-ups. One thread at a time is there, so that what
/// runs there needs no locks among each other; nothing there blocks, and no users' code runs there. The library's own is Workroom; the simulator
/// has another. Thread-safe.
class Background {
 public:
  /// A procedure that is driven there, with many others at once.
  class Operation {
   public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    virtual ~Operation() = default;

    virtual Procedure& procedure() noexcept = 0;

    /// Called once, before it is driven: what wakes it while it sleeps. For any thread, until over() has returned, or until this is called with null,
    /// because it was not driven to its end, and over() will not be called either.
    virtual void note_waker(Waker* /*waker*/) noexcept {}

    /// It is done, or was not driven to its end (`abandoned`: std::bad_alloc, or the Background ends). Called there, which does not own the operation
    /// any longer afterwards.
    enum class End { done, abandoned };
    virtual void over(End end) noexcept = 0;
  };

  /// Something that is to be done there now and then. Must be withdrawn before it goes.
  class Duty {
   public:
    Duty() = default;
    Duty(const Duty&) = delete;
    Duty& operator=(const Duty&) = delete;

    /// Returns when to run again at the latest; Instant::max(): not before it is called for.
    virtual protocol::Instant run(protocol::Instant now) noexcept = 0;

   protected:
    ~Duty() = default;
  };

  /// Sees to it that there are all threads for it, also those that dialling needs, which takes a while, and may fail: for callers that
  /// will need them when nothing may fail. Throws std::system_error if there is none to be had, and std::bad_alloc.
  virtual void get_ready() = 0;

  /// Throws std::bad_alloc, and the first time std::system_error if there is no thread to be had.
  virtual void start(std::shared_ptr<Operation> operation) = 0;

  /// The same for one that needs not be alone: the calling thread takes its first steps itself, as far as it does not have to wait. So it may be over
  /// when this returns.
  virtual void start_here(std::shared_ptr<Operation> operation) { start(std::move(operation)); }

  /// The calling thread is about to do what may wake operations; and then it goes on itself with those that it has woken, or started. Not to be nested.
  virtual void begin_help() noexcept {}
  virtual void end_help() noexcept {}

  /// It is one of those to be run. Throws as start() does.
  virtual void enlist(Duty& duty) = 0;

  /// It is to run at that time at the latest. May be called with locks held that run() takes. After enlist().
  virtual void call(Duty& duty, protocol::Instant at) noexcept = 0;

  /// It does not run any more. Waits if it runs in this moment, unless in this very thread.
  virtual void withdraw(Duty& duty) noexcept = 0;

  /// As long as that is wanted, there is to be a connection to each server that is in use, which is dialled again when it broke, and what
  /// the servers have to tell is read also while no caller reads. In the Background's thread only.
  virtual void listen(bool wanted) noexcept = 0;

  /// Another server may have taken the place of the one that we are connected to: has that found out, and the server left, soon.
  virtual void verify_server() noexcept = 0;

  /// Takes in what this server has told and nobody has read yet. Does not wait. False: that can not be said to be all.
  virtual bool take_in_pushes(Server& server) noexcept = 0;

 protected:
  ~Background() = default;
};

}  // namespace redismutex::route
