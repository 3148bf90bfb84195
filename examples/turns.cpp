// Eight processes take turns on one key. Inside, each increments a counter that nothing else protects, with a gap
// between reading and writing: if ever two were inside together, increments would be lost.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <redismutex/redismutex.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int processes = 8;
constexpr int turns_each = 6;
constexpr auto time_inside = 40ms;
constexpr auto time_outside = 10ms;

/// What one process has to tell at the end.
struct Record {
  int turns = 0;
  Clock::duration waited{};
  Clock::duration longest{};
};

/// Memory that all processes share. The atomics are for the compiler only: every change is a load, a gap, and a store.
struct Board {
  std::atomic<long> counter = 0;
  std::atomic<int> inside = 0;
  std::atomic<int> most_inside = 0;
  std::atomic<bool> started = false;
  Clock::time_point start_time;
  std::array<Record, processes> records;
};

Board& shared_board() {
  void* const memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  return *new (memory) Board;
}

long milliseconds(Clock::duration duration) {
  return static_cast<long>(std::chrono::round<std::chrono::milliseconds>(duration).count());
}

bool in_colour() {
  static const bool result = ::isatty(STDOUT_FILENO) == 1;
  return result;
}

std::string coloured(const char* code, const std::string& text) {
  return in_colour() ? std::string{"\033["} + code + "m" + text + "\033[0m" : text;
}

/// One line of the picture: a column for each process, a mark for who is inside.
void print_turn(const Board& board, int me, Clock::duration waited) {
  std::string columns;
  for (int process = 0; process < processes; ++process) {
    columns += process == me ? coloured("1;32", " # ") : coloured("2", " . ");
  }
  ::dprintf(STDOUT_FILENO, "%6.2f s  %s  waited %4ld ms, counter %ld\n",
            std::chrono::duration<double>{Clock::now() - board.start_time}.count(), columns.c_str(),
            milliseconds(waited), board.counter.load());
}

void be_inside(Board& board, int me, Clock::duration waited) {
  const int inside = ++board.inside;
  if (inside > board.most_inside) board.most_inside = inside;
  const long seen = board.counter;
  std::this_thread::sleep_for(time_inside);
  board.counter = seen + 1;
  print_turn(board, me, waited);
  --board.inside;
}

void take_turns(Board& board, int me) {
  const redismutex::RedisMutex mutex{redismutex::Connection{}, {.block_time = 30s, .delay = 20ms, .expiry = 60s}};
  auto& record = board.records.at(static_cast<std::size_t>(me));
  while (!board.started) std::this_thread::sleep_for(1ms);
  for (; record.turns < turns_each; ++record.turns) {
    const auto asked_at = Clock::now();
    auto lock = mutex.acquire_lock("turns");
    const auto waited = Clock::now() - asked_at;
    be_inside(board, me, waited);
    lock.release();
    record.waited += waited;
    record.longest = std::max(record.longest, waited);
    std::this_thread::sleep_for(time_outside);
  }
}

int process_main(Board& board, int me) try {
  take_turns(board, me);
  return 0;
} catch (const std::exception& error) {
  ::dprintf(STDOUT_FILENO, "process %d: %s\n", me + 1, error.what());
  return 1;
}

bool print_totals(const Board& board) {
  ::dprintf(STDOUT_FILENO, "\nprocess   turns   mean wait   longest wait\n");
  for (int process = 0; process < processes; ++process) {
    const auto& record = board.records.at(static_cast<std::size_t>(process));
    ::dprintf(STDOUT_FILENO, "%7d %7d %8ld ms %11ld ms\n", process + 1, record.turns,
              milliseconds(record.waited / std::max(record.turns, 1)), milliseconds(record.longest));
  }
  const bool right = board.counter == processes * turns_each && board.most_inside == 1;
  ::dprintf(STDOUT_FILENO, "\n%d turns in %.1f s; at most %d inside at once; the counter says %ld: %s\n",
            processes * turns_each, std::chrono::duration<double>{Clock::now() - board.start_time}.count(),
            board.most_inside.load(), board.counter.load(),
            (right ? coloured("1;32", "right") : coloured("1;31", "WRONG")).c_str());
  return right;
}

}  // namespace

int main() {
  auto& board = shared_board();
  ::dprintf(STDOUT_FILENO, "%d processes, %d turns each, on one key; # is inside for %ld ms\n\n          ", processes,
            turns_each, static_cast<long>(time_inside.count()));
  for (int process = 0; process < processes; ++process) {
    ::dprintf(STDOUT_FILENO, " %d ", process + 1);
    if (::fork() == 0) ::_exit(process_main(board, process));
  }
  ::dprintf(STDOUT_FILENO, "\n");
  board.start_time = Clock::now();
  board.started = true;

  bool all_well = true;
  for (int status = 0; ::wait(&status) > 0;) all_well = all_well && status == 0;
  return print_totals(board) && all_well ? 0 : 1;
}
