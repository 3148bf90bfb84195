#include "protocol/clients.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "unit/protocol/steps.hpp"

namespace redismutex::protocol {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto client_list =
    "id=3 addr=127.0.0.1:51234 laddr=127.0.0.1:6379 fd=8 name=redismutex:00000a1234:web3:812:billing age=5 user=app\n"
    "id=44 addr=[::1]:99 fd=9 name=mine:yours:00000a1234:web4:99:x=y age=0 user=default\r\n"
    "id=5 addr=/tmp/socket:0 fd=9 name= user=default\n"
    "\n";

// A line for each connection; fields that are not known say nothing.
TEST(Clients, ReadsTheList) {
  const auto all = read_client_list(client_list);
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].id, 3);
  EXPECT_EQ(all[0].name, "redismutex:00000a1234:web3:812:billing");
  EXPECT_EQ(all[0].address, "127.0.0.1:51234");
  EXPECT_EQ(all[0].user, "app");
  EXPECT_EQ(all[1].user, "default");
  EXPECT_EQ(all[2].name, "");
  EXPECT_THAT(read_client_list(""), IsEmpty());
  EXPECT_EQ(read_client_list("rubbish id").at(0).id, 0);
}

// Of those with the tag in their names, the newest; whatever stands in front of it.
TEST(Clients, FindsWhoHasATag) {
  const auto all = read_client_list(client_list);
  const auto newest = client_with_tag(all, "00000a1234");
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->host, "web4");
  EXPECT_EQ(newest->pid, 99);
  EXPECT_EQ(newest->purpose, "x=y");
  EXPECT_EQ(newest->address, "[::1]:99");
  EXPECT_EQ(client_with_tag(std::span{all}.first(1), "00000a1234")->host, "web3");
  EXPECT_FALSE(client_with_tag(all, "00000a1235"));
  EXPECT_FALSE(client_with_tag(all, ""));
}

// A name that ends too soon is no reason to fail.
TEST(Clients, ReadsNamesThatAreCut) {
  const std::vector<Connected> all{{.id = 1, .name = "redismutex:00000a1234:"}};
  const auto found = client_with_tag(all, "00000a1234");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "");
  EXPECT_EQ(found->pid, 0);
}

// A tag keeps 24 bits of the number: beyond them, those of this turn and the one before are possible.
TEST(Clients, KnowsWhichNumbersATagMayStandFor) {
  constexpr std::int64_t turn = 1 << 24;
  EXPECT_THAT(client_ids_of("00000a1234", 5000), ElementsAre(10));
  EXPECT_THAT(client_ids_of("00000a1234", 0), ElementsAre(10));
  EXPECT_THAT(client_ids_of("00000a1234", 3 * turn + 5), ElementsAre(3 * turn + 10, 2 * turn + 10));
  EXPECT_THAT(client_ids_of("0000001234", 5), IsEmpty());
  for (const char* odd : {"", "a", "00000a12345", "not hex..."}) EXPECT_THAT(client_ids_of(odd, 5), IsEmpty()) << odd;
}

// Asked for by their numbers, so many in one command.
TEST(Clients, AsksForSome) {
  std::vector<std::int64_t> ids;
  for (int i = 1; i <= 300; ++i) ids.push_back(i);
  Clients machine{ids};
  const auto first = command(machine.start(at(0s)));
  ASSERT_THAT(first, SizeIs(3 + 128));
  EXPECT_THAT(std::vector(first.begin(), first.begin() + 4), ElementsAre("CLIENT", "LIST", "ID", "1"));
  EXPECT_EQ(command(machine.unanswered()), first);
  ASSERT_THAT(command(machine.answered(text(client_list))), SizeIs(3 + 128));
  const auto third = command(machine.answered(text(client_list)));
  ASSERT_THAT(third, SizeIs(3 + 44));
  EXPECT_EQ(third.back(), "300");
  EXPECT_TRUE(is_done(machine.answered(text(client_list))));
  EXPECT_THAT(std::get<std::vector<Connected>>(machine.outcome()), SizeIs(9));
  Clients none{std::vector<std::int64_t>{}};
  EXPECT_TRUE(is_done(none.start(at(0s))));
}

// All of them only if they are not too many.
TEST(Clients, CountsBeforeItAsksForAll) {
  Clients few{Clients::All{}};
  EXPECT_THAT(command(few.start(at(0s))), ElementsAre("INFO", "clients"));
  EXPECT_EQ(few.right(), "+info");
  EXPECT_THAT(command(few.answered(text("# Clients\r\nconnected_clients:2000\r\n"))), ElementsAre("CLIENT", "LIST"));
  EXPECT_EQ(few.right(), "+client|list");
  EXPECT_TRUE(is_done(few.answered(text(client_list))));
  EXPECT_THAT(std::get<std::vector<Connected>>(few.outcome()), SizeIs(3));

  Clients many{Clients::All{}};
  many.start(at(0s));
  EXPECT_TRUE(is_done(many.answered(text("# Clients\r\nconnected_clients:2001\r\n"))));
  EXPECT_TRUE(std::holds_alternative<Clients::TooMany>(many.outcome()));
}

TEST(Clients, ARefusalIsTheOutcome) {
  Clients machine{{7}};
  machine.start(at(0s));
  EXPECT_TRUE(is_done(machine.answered(error("NOPERM no"))));
  ASSERT_TRUE(std::holds_alternative<Refusal>(machine.outcome()));
  EXPECT_EQ(std::get<Refusal>(machine.outcome()).code, "NOPERM");
}

}  // namespace
}  // namespace redismutex::protocol
