// Any bytes make the same replies, and the same problem, however they are cut. What is kept of a reply is the same reply, and
// what is said of one is what there is: nothing is beyond the bytes that came.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

#include "../unit/net/shown.hpp"
#include "net/resp.hpp"

namespace {

using redismutex::net::Reply;
using redismutex::net::Resp;

void expect_equal(const std::string& one, const std::string& other, std::size_t cut) {
  if (one == other) return;
  std::cerr << "cut at " << cut << ":\n" << one << "\nbut whole:\n" << other << std::endl;
  std::abort();
}

/// All replies, a line each, and the problem.
class Outcome {
 public:
  void feed(std::string_view bytes) {
    resp_.feed(bytes);
    while (const auto reply = resp_.next()) {
      const std::string line = shown(*reply);
      Reply kept{*reply};
      const Reply moved{std::move(kept)};
      expect_equal(shown(*moved), line, 0);
      lines_ += line + "\n";
    }
  }
  std::string text() const { return lines_ + resp_.problem(); }

 private:
  Resp resp_;
  std::string lines_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  Outcome whole;
  whole.feed(bytes);

  Outcome single;
  for (std::size_t i = 0; i < size; ++i) single.feed(bytes.substr(i, 1));
  expect_equal(single.text(), whole.text(), size);

  const std::size_t step = 1 + size / 256;  // of a long input not at every place
  for (std::size_t cut = 1; cut < size; cut += step) {
    Outcome halves;
    halves.feed(bytes.substr(0, cut));
    halves.feed(bytes.substr(cut));
    expect_equal(halves.text(), whole.text(), cut);
  }
  return 0;
}
