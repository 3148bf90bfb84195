// What the library's traffic costs a server, in processor time and in commands.
//
//     server_cost SOCKET PID SCENARIO
//
// drives the server that listens on the unix socket and runs as PID, and prints lines of a name and a number. scripts/compare
// builds this one source with two versions of the library, so it uses nothing but the public interface.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <redismutex/redismutex.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>{time}.count(); }

void print(const std::string& name, double value) { std::printf("%s %.4f\n", name.c_str(), value); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// ---- the server, seen from outside ----------------------------------------------------------------------------------

/// Looks at the server through a connection of its own, with inline commands.
class Server {
 public:
  Server(const std::string& socket, std::string pid) : pid_{std::move(pid)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error{"cannot connect to " + socket};
    }
  }

  /// Microseconds of processor time that the server has had. The kernel counts a thread's time exactly only while it does
  /// not run: so this waits until the server has nothing to do.
  double processor_time() const {
    std::this_thread::sleep_for(2ms);
    double sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/" + pid_ + "/task"}) {
      double nanoseconds = 0;
      std::ifstream{thread.path() / "schedstat"} >> nanoseconds;
      sum += nanoseconds / 1000;
    }
    return sum;
  }

  /// How often each command ran, in scripts too. Without those that this object sends.
  std::map<std::string, double> calls() {
    std::map<std::string, double> result;
    std::istringstream lines{bulk("INFO commandstats\r\n")};
    for (std::string line; std::getline(lines, line);) {
      const auto colon = line.find(":calls=");
      if (line.rfind("cmdstat_", 0) != 0 || colon == std::string::npos) continue;
      const std::string name = line.substr(8, colon - 8);
      if (name != "info" && name != "monitor") result[name] = std::stod(line.substr(colon + 7));
    }
    return result;
  }

  /// How many commands clients sent within that time. To be used last.
  long commands_within(Clock::duration time) {
    send("MONITOR\r\n");
    const timeval patience{.tv_sec = 0, .tv_usec = 20'000};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const auto end = Clock::now() + time;
    while (Clock::now() < end) receive();
    long commands = 0;
    std::istringstream lines{unread_};
    for (std::string line; std::getline(lines, line);) {
      // +1700000000.000000 [0 unix:/path] "set" ..., or [0 lua] if a script did it
      if (line.substr(0, line.find(']')).find(':') != std::string::npos) ++commands;
    }
    return commands;
  }

 private:
  void send(const std::string& text) const {
    if (::write(socket_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw std::runtime_error{"cannot write to the server"};
    }
  }

  void receive() {
    std::array<char, 65536> buffer{};
    const ssize_t size = ::read(socket_, buffer.data(), buffer.size());
    if (size > 0) unread_.append(buffer.data(), static_cast<std::size_t>(size));
  }

  std::string bulk(const std::string& command) {
    send(command);
    const auto has = [this](std::size_t size) {
      while (unread_.size() < size) receive();
    };
    while (unread_.find("\r\n") == std::string::npos) receive();
    const auto start = unread_.find("\r\n") + 2;
    const auto size = static_cast<std::size_t>(std::stol(unread_.substr(1)));
    has(start + size + 2);
    std::string text = unread_.substr(start, size);
    unread_.erase(0, start + size + 2);
    return text;
  }

  std::string pid_;
  int socket_ = -1;
  std::string unread_;
};

void print_calls(const std::string& name, const std::map<std::string, double>& before,
                 const std::map<std::string, double>& after, double times) {
  double sum = 0;
  for (const auto& [command, calls] : after) {
    const auto earlier = before.find(command);
    const double each = (calls - (earlier == before.end() ? 0 : earlier->second)) / times;
    if (each < 0.001) continue;
    print(name + ".calls." + command, each);
    sum += each;
  }
  print(name + ".calls", sum);
}

// ---- a lock that nobody else wants ----------------------------------------------------------------------------------

struct Kind {
  std::string name;
  redismutex::Options options;
};

const std::array<Kind, 2> plain_and_fenced{{{"plain", {}}, {"fenced", {.fencing = true}}}};

/// Plain and fenced pairs in turns, a block of each after the other.
void pairs(Server& server, const std::string& url, bool cold) {
  const int blocks = cold ? 6 : 30;
  const int pairs_a_block = cold ? 50 : 200;
  const std::string prefix = cold ? "cold pair, " : "pair, ";
  const redismutex::Connection connection{url};
  struct Figures {
    double processor_time = 0;
    std::vector<double> times{};
  };
  std::array<Figures, 2> figures;
  for (int block = -2; block < blocks; ++block) {  // the first two of each warm up
    for (std::size_t i = 0; i < figures.size(); ++i) {
      const Kind& kind = plain_and_fenced.at(block % 2 == 0 ? i : 1 - i);
      Figures& mine = figures.at(block % 2 == 0 ? i : 1 - i);
      const redismutex::RedisMutex mutex{connection, kind.options};
      const double before = server.processor_time();
      for (int n = 0; n < pairs_a_block; ++n) {
        if (cold) std::this_thread::sleep_for(2ms);
        const auto start = Clock::now();
        mutex.acquire_lock("compare:" + kind.name).release();
        if (block >= 0) mine.times.push_back(microseconds(Clock::now() - start));
      }
      if (block >= 0) mine.processor_time += server.processor_time() - before;
    }
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const std::string name = prefix + plain_and_fenced.at(i).name;
    print(name + ".server_us", figures.at(i).processor_time / (blocks * pairs_a_block));
    print(name + ".us", median(figures.at(i).times));
  }
  if (cold) return;
  for (const Kind& kind : plain_and_fenced) {
    const redismutex::RedisMutex mutex{connection, kind.options};
    const auto before = server.calls();
    for (int n = 0; n < pairs_a_block; ++n) mutex.acquire_lock("compare:" + kind.name).release();
    print_calls(prefix + kind.name, before, server.calls(), pairs_a_block);
  }
}

/// Many threads over one connection, each with a key of its own: the server seldom sleeps, so this is what the commands cost.
void busy_pairs(Server& server, const std::string& url) {
  constexpr int blocks = 20, threads = 32, pairs_a_thread = 50;
  const redismutex::Connection connection{url};
  std::array<double, 2> processor_time{};
  for (int block = -2; block < blocks; ++block) {  // the first two of each warm up
    for (std::size_t i = 0; i < processor_time.size(); ++i) {
      const std::size_t which = block % 2 == 0 ? i : 1 - i;
      const Kind& kind = plain_and_fenced.at(which);
      const redismutex::RedisMutex mutex{connection, kind.options};
      const double before = server.processor_time();
      {
        std::vector<std::jthread> all;
        for (int number = 0; number < threads; ++number) {
          all.emplace_back([&, key = "compare:" + kind.name + ":" + std::to_string(number)] {
            for (int n = 0; n < pairs_a_thread; ++n) mutex.acquire_lock(key).release();
          });
        }
      }
      if (block >= 0) processor_time.at(which) += server.processor_time() - before;
    }
  }
  for (std::size_t i = 0; i < processor_time.size(); ++i) {
    print("busy pair, " + plain_and_fenced.at(i).name + ".server_us",
          processor_time.at(i) / (blocks * threads * pairs_a_thread));
  }
}

// ---- processes that take turns --------------------------------------------------------------------------------------

/// What the processes share.
struct Board {
  std::atomic<int> game{-1};      ///< that is being played; over if it is `over`
  std::atomic<int> ready{0};      ///< processes that are connected
  std::atomic<int> playing{0};    ///< processes
  std::atomic<long> turns{0};     ///< taken, of all games
  std::atomic<long> released{0};  ///< when the last release began, in ns
  std::atomic<int> hand_overs{0};
  std::array<float, 1 << 16> hand_over_us{};

  static constexpr int over = -2;
};

struct Game {
  Kind kind;
  int processes;
  std::chrono::microseconds hold, pause;
};

long now_ns() { return std::chrono::nanoseconds{Clock::now().time_since_epoch()}.count(); }

void take_turns(Board& board, const Game& game, int number, const std::string& url) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_TIMERSLACK, 1);  // or each sleep would be 0.05 ms longer
  redismutex::Options options = game.kind.options;
  options.block_time = 60s;
  options.expiry = 61s;
  const redismutex::RedisMutex mutex{redismutex::Connection{url}, options};
  mutex.acquire_lock("compare:warm-up:" + std::to_string(::getpid())).release();
  ++board.ready;
  const std::string key = "compare:game:" + std::to_string(number);
  for (;;) {
    const int current = board.game;
    if (current == Board::over) return;
    if (current != number) {
      std::this_thread::sleep_for(200us);
      continue;
    }
    ++board.playing;
    while (board.game == number) {
      const long asked = now_ns();
      auto lock = mutex.acquire_lock(key);
      const long entered = now_ns();
      const long released = board.released;
      if (asked < released) {
        const auto index = static_cast<std::size_t>(board.hand_overs.fetch_add(1));
        if (index < board.hand_over_us.size()) {
          board.hand_over_us.at(index) = static_cast<float>(static_cast<double>(entered - released) / 1000);
        }
      }
      if (game.hold > 0us) std::this_thread::sleep_for(game.hold);
      board.released = now_ns();
      lock.release();
      ++board.turns;
      if (game.pause > 0us) std::this_thread::sleep_for(game.pause);
    }
    --board.playing;
  }
}

/// Processes for each of the games, of which one is played at a time.
class Players {
 public:
  Players(const std::vector<Game>& games, const std::string& url) {
    void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error{"no memory"};
    board_ = new (memory) Board{};
    for (std::size_t number = 0; number < games.size(); ++number) {
      for (int i = 0; i < games[number].processes; ++i) {
        const pid_t child = ::fork();
        if (child == 0) {
          try {
            take_turns(*board_, games[number], static_cast<int>(number), url);
          } catch (const std::exception& error) {
            std::cerr << "server_cost: a player: " << error.what() << '\n';
            ::_exit(1);
          }
          ::_exit(0);
        }
        children_.push_back(child);
      }
    }
    wait_until([&] { return board_->ready == static_cast<int>(children_.size()); });
  }
  Players(const Players&) = delete;
  Players& operator=(const Players&) = delete;
  ~Players() {
    board_->game = Board::over;
    for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
  }

  void start(int game) {
    board_->hand_overs = 0;
    board_->released = 0;
    board_->game = game;
  }

  /// Returns when all have left.
  void stop() {
    board_->game = -1;
    std::this_thread::sleep_for(1ms);  // for one that has just seen the game, and is about to play
    wait_until([&] { return board_->playing == 0; });
  }

  long turns() const { return board_->turns; }

  std::vector<double> hand_overs() const {
    const auto count = std::min(static_cast<std::size_t>(board_->hand_overs.load()), board_->hand_over_us.size());
    return {board_->hand_over_us.begin(), board_->hand_over_us.begin() + static_cast<std::ptrdiff_t>(count)};
  }

 private:
  void wait_until(const std::function<bool()>& condition) const {
    const auto end = Clock::now() + 60s;
    while (!condition()) {
      for (const pid_t child : children_) {
        if (::waitpid(child, nullptr, WNOHANG) == child) throw std::runtime_error{"a player has ended"};
      }
      if (Clock::now() > end) throw std::runtime_error{"the players do not do what they are told"};
      std::this_thread::sleep_for(100us);
    }
  }

  Board* board_ = nullptr;
  std::vector<pid_t> children_;
};

/// Two processes of which one always waits, plain and fenced in turns.
void hand_overs(Server& server, const std::string& url) {
  constexpr int blocks = 8;
  std::vector<Game> games;
  for (const Kind& kind : plain_and_fenced) games.push_back({.kind = kind, .processes = 2, .hold = 1ms, .pause = 0us});
  Players players{games, url};
  struct Figures {
    double processor_time = 0;
    double turns = 0;
    std::vector<double> times{};
  };
  std::array<Figures, 2> figures;
  for (int block = -1; block < blocks; ++block) {
    for (std::size_t i = 0; i < figures.size(); ++i) {
      const std::size_t which = block % 2 == 0 ? i : 1 - i;
      const double before = server.processor_time();
      const long turns = players.turns();
      players.start(static_cast<int>(which));
      std::this_thread::sleep_for(200ms);
      players.stop();
      if (block < 0) continue;
      Figures& mine = figures.at(which);
      mine.processor_time += server.processor_time() - before;
      mine.turns += static_cast<double>(players.turns() - turns);
      const auto times = players.hand_overs();
      mine.times.insert(mine.times.end(), times.begin(), times.end());
    }
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const std::string name = "hand-over, " + plain_and_fenced.at(i).name;
    print(name + ".server_us", figures.at(i).processor_time / figures.at(i).turns);
    print(name + ".us", median(figures.at(i).times));
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const auto calls = server.calls();
    const long turns = players.turns();
    players.start(static_cast<int>(i));
    std::this_thread::sleep_for(200ms);
    players.stop();
    print_calls("hand-over, " + plain_and_fenced.at(i).name, calls, server.calls(),
                static_cast<double>(players.turns() - turns));
  }
}

/// Eight processes at one key, 2 ms inside and 2 ms outside.
void contention(Server& server, const std::string& url) {
  const std::string name = "contended turn";
  Players players{{{.kind = plain_and_fenced[0], .processes = 8, .hold = 2ms, .pause = 2ms}}, url};
  players.start(0);
  std::this_thread::sleep_for(300ms);
  auto calls = server.calls();
  const double before = server.processor_time();
  long turns = players.turns();
  std::this_thread::sleep_for(2500ms);
  auto done = static_cast<double>(players.turns() - turns);
  print(name + ".server_us", (server.processor_time() - before) / done);
  print(name + ".us", median(players.hand_overs()));
  print_calls(name, calls, server.calls(), done);
  turns = players.turns();
  const auto commands = static_cast<double>(server.commands_within(700ms));
  done = static_cast<double>(players.turns() - turns);
  print(name + ".commands", commands / done);
  players.stop();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) throw std::runtime_error{"usage: server_cost SOCKET PID SCENARIO"};
  const std::string socket = argv[1], scenario = argv[3], url = "unix://" + socket;
  Server server{socket, argv[2]};
  if (scenario == "pairs") {
    pairs(server, url, false);
  } else if (scenario == "cold-pairs") {
    pairs(server, url, true);
  } else if (scenario == "busy-pairs") {
    busy_pairs(server, url);
  } else if (scenario == "hand-overs") {
    hand_overs(server, url);
  } else if (scenario == "contention") {
    contention(server, url);
  } else {
    throw std::runtime_error{"no scenario " + scenario};
  }
  return EXIT_SUCCESS;
} catch (const std::exception& error) {
  std::cerr << "server_cost: " << error.what() << '\n';
  return EXIT_FAILURE;
}
