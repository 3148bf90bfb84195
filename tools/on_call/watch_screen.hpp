#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "columns.hpp"
#include "looker.hpp"
#include "terminal_guard.hpp"

namespace redismutex::cli {

/// The screen of `redismutex watch`. There is one at a time.
class WatchScreen {
 public:
  WatchScreen(Looker& looker, std::chrono::milliseconds interval, bool shows_free);
  ~WatchScreen();
  WatchScreen(const WatchScreen&) = delete;
  WatchScreen& operator=(const WatchScreen&) = delete;

  /// Until somebody wants an end. Returns the signal that asked for it; 0: it was the key q. Throws what Looker::view() throws.
  int run();

 private:
  enum class Mode { table, detail, help, filter, question };

  void take_what_is_new();
  void choose_rows();
  void press(int key);
  void press_in_table(int key);
  void press_in_filter(int key);
  void move(int by);

  void draw();
  void put(int line, const std::string& text, int attributes = 0) const;
  int draw_head() const;
  void draw_table(int first, int last) const;
  void draw_text(int first, int last, const std::string& text) const;
  std::string memory_text() const;
  std::string foot() const;
  std::string question() const;
  const Inspection* selected() const;

  TerminalGuard guard_;
  Looker& looker_;
  const std::chrono::milliseconds interval_;
  const bool shows_free_;
  std::shared_ptr<const View> view_;
  Mode mode_ = Mode::table;
  Order order_ = Order::age;
  bool paused_ = false;
  bool ended_ = false;
  std::string filter_;
  std::string message_;  // until the next key
  std::string selected_key_;
  Inspection asked_about_;  // while there is a question
  std::vector<Inspection> rows_;
};

}  // namespace redismutex::cli
