#include "engine/mailroom.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/clock.hpp"
#include "engine/entropy.hpp"
#include "unit/net/waiter.hpp"

namespace redismutex::engine {
namespace {

using namespace std::chrono_literals;
using net::limit;
using net::Link;
using protocol::Key;
using protocol::OwnerId;

net::Deadline in(std::chrono::milliseconds duration) { return std::chrono::steady_clock::now() + duration; }

struct OpenBox : Mailroom::Box {
  OpenBox(Mailroom& mailroom, const Key& key, const OwnerId& id) : Box{mailroom, key, id} { open(); }
};

class MailroomTest : public ::testing::Test {
 protected:
  Mailroom mailroom;
  net::Linked linked;
  const Key key{"key"};
  const OwnerId id = new_owner_id({});

  /// What is in the box now.
  Mailroom::Mail look_into(Mailroom::Box& box) {
    Link::Waited how{};
    return mailroom.wait(box, linked.link, in(0ms), {}, how);
  }

  static bool is_empty(const Mailroom::Mail& mail) { return !mail.grant && !mail.first && !mail.changed; }

  std::string message(const std::string& rest = "1000 1700000000 5 7") const {
    return std::string{id.text()} + ' ' + rest;
  }
};

// ---- what comes before somebody waits -------------------------------------------------------------------------------

TEST_F(MailroomTest, AGrantLiesInTheBoxUntilSomebodyLooks) {
  OpenBox box{mailroom, key, id};
  const auto before = now();
  mailroom.deliver(message());
  const auto after = now();
  const Mailroom::Mail mail = look_into(box);
  ASSERT_TRUE(mail.grant);
  EXPECT_EQ(mail.grant->claim, 1000ms);
  EXPECT_EQ(mail.grant->granted_at, 1700000000000005us);
  EXPECT_EQ(mail.grant->token, 7);
  EXPECT_GE(mail.grant->arrived, before);
  EXPECT_LE(mail.grant->arrived, after);
  EXPECT_FALSE(mail.changed);
  EXPECT_TRUE(is_empty(look_into(box))) << "it was taken out";
}

TEST_F(MailroomTest, GrantsGoByIdAndChangesByKey) {
  const Key other_key{"other key"};
  const OwnerId other_id = new_owner_id({});
  OpenBox ours{mailroom, key, id};
  OpenBox same_key{mailroom, key, other_id};
  const OwnerId third_id = new_owner_id({});
  OpenBox elsewhere{mailroom, other_key, third_id};
  const auto all_empty_but = [&](std::vector<Mailroom::Box*> rest) {
    return std::all_of(rest.begin(), rest.end(), [&](Mailroom::Box* box) { return is_empty(look_into(*box)); });
  };

  mailroom.deliver(message());
  EXPECT_TRUE(look_into(ours).grant);
  EXPECT_TRUE(all_empty_but({&same_key, &elsewhere}));

  mailroom.key_changed("key");
  EXPECT_TRUE(look_into(ours).changed);
  EXPECT_TRUE(look_into(same_key).changed);
  EXPECT_TRUE(all_empty_but({&elsewhere}));

  mailroom.key_changed("no key of ours");
  mailroom.deliver(std::string{new_owner_id({}).text()} + " 1000 1700000000 5 7");
  EXPECT_TRUE(all_empty_but({&ours, &same_key, &elsewhere}));

  mailroom.all_changed();
  for (Mailroom::Box* box : {&ours, &same_key, &elsewhere}) EXPECT_TRUE(look_into(*box).changed);
}

TEST_F(MailroomTest, AGrantAndAChangeComeTogether) {
  OpenBox box{mailroom, key, id};
  mailroom.key_changed("key");
  mailroom.deliver(message());
  const Mailroom::Mail mail = look_into(box);
  EXPECT_TRUE(mail.grant);
  EXPECT_TRUE(mail.changed);
}

// Nobody is ahead any more: that is told with the lease that the present owner may have left.
TEST_F(MailroomTest, ThatAWaiterIsFirstLiesInTheBox) {
  OpenBox box{mailroom, key, id};
  mailroom.deliver(message("first 1000"));
  const Mailroom::Mail mail = look_into(box);
  EXPECT_EQ(mail.first, 1000ms);
  EXPECT_FALSE(mail.grant);
  EXPECT_FALSE(mail.changed);
  EXPECT_TRUE(is_empty(look_into(box))) << "it was taken out";
  mailroom.deliver(std::string{new_owner_id({}).text()} + " first 1000");
  EXPECT_TRUE(is_empty(look_into(box))) << "another waiter's";
  mailroom.deliver(message("first 0"));
  mailroom.deliver(message());
  const Mailroom::Mail both = look_into(box);
  EXPECT_EQ(both.first, 0ms);
  EXPECT_TRUE(both.grant);
}

// Nobody is there any more: nothing happens.
TEST_F(MailroomTest, MailForAClosedBoxIsDropped) {
  { const OpenBox box{mailroom, key, id}; }
  mailroom.deliver(message());
  mailroom.key_changed("key");
  OpenBox again{mailroom, key, id};
  EXPECT_TRUE(is_empty(look_into(again)));
}

// Anybody with the right to publish can send anything to the channel.
TEST_F(MailroomTest, WhatIsNoGrantIsIgnored) {
  OpenBox box{mailroom, key, id};
  for (const std::string rest : {"",
                                 "1000",
                                 "1000 1",
                                 "1000 1 2",
                                 "1000 1 2 ",
                                 "1000 1 2 7 7",
                                 " 1000 1 2 7",
                                 "x 1 2 7",
                                 "1000 x 2 7",
                                 "1000 1 x 7",
                                 "1000 1 2 x",
                                 "-1 1 2 7",
                                 "1000 -1 2 7",
                                 "1000 1 -2 7",
                                 "1000 1 2 -7",
                                 "1000 1 2 7x",
                                 "1e3 1 2 7",
                                 "+1000 1 2 7",
                                 "1000  1 2 7",
                                 "99999999999999999999 1 2 7",
                                 "9000000000000000000 1 2 7",
                                 "1000 9000000000000000000 2 7",
                                 "1000 9007199255 2 7",
                                 "1000 1 1000000 7",
                                 "first",
                                 "first ",
                                 "first x",
                                 "first -1",
                                 "first 1000 1",
                                 "first 1000 1 2 7",
                                 "first 9000000000000000000",
                                 "First 1000",
                                 "1000 first"}) {
    mailroom.deliver(message(rest));
    EXPECT_TRUE(is_empty(look_into(box))) << '\'' << rest << '\'';
  }
  mailroom.deliver("");
  mailroom.deliver(" ");
  mailroom.deliver(id.text());
  mailroom.deliver(std::string(1000, ' '));
  EXPECT_TRUE(is_empty(look_into(box)));
  mailroom.deliver(message());
  EXPECT_TRUE(look_into(box).grant) << "and what follows is not";
}

// ---- waiting --------------------------------------------------------------------------------------------------------

/// A thread that waits at the link for mail.
class Addressee {
 public:
  Addressee(Mailroom& mailroom, Mailroom::Box& box, Link& link, std::stop_token stop = {},
            net::Deadline deadline = net::far())
      : waiter_{[&mailroom, &box, &link, stop = std::move(stop), deadline, this] {
          Link::Waited how{};
          mail_ = mailroom.wait(box, link, deadline, stop, how);
          return how;
        }} {
    waiter_.until_asleep();
  }

  Link::Waited how() { return waiter_.outcome(); }
  const Mailroom::Mail& mail() const noexcept { return mail_; }

 private:
  Mailroom::Mail mail_;
  net::Waiter waiter_;
};

TEST_F(MailroomTest, AGrantWakesTheOneItIsFor) {
  const OwnerId other_id = new_owner_id({});
  OpenBox box{mailroom, key, id};
  OpenBox other_box{mailroom, key, other_id};
  Addressee other{mailroom, other_box, linked.link};
  Addressee addressee{mailroom, box, linked.link};
  mailroom.deliver(message());
  EXPECT_EQ(addressee.how(), Link::Waited::done);
  EXPECT_TRUE(addressee.mail().grant);
  mailroom.key_changed("key");
  EXPECT_EQ(other.how(), Link::Waited::done);
  EXPECT_FALSE(other.mail().grant);
  EXPECT_TRUE(other.mail().changed);
}

TEST_F(MailroomTest, ThatAWaiterIsFirstWakesIt) {
  OpenBox box{mailroom, key, id};
  Addressee addressee{mailroom, box, linked.link};
  mailroom.deliver(message("first 1000"));
  EXPECT_EQ(addressee.how(), Link::Waited::done);
  EXPECT_EQ(addressee.mail().first, 1000ms);
}

TEST_F(MailroomTest, WaitingEndsAtTheDeadline) {
  OpenBox box{mailroom, key, id};
  const auto deadline = in(20ms);
  Addressee addressee{mailroom, box, linked.link, {}, deadline};
  EXPECT_EQ(addressee.how(), Link::Waited::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
  EXPECT_TRUE(is_empty(addressee.mail()));
  mailroom.deliver(message());
  EXPECT_TRUE(look_into(box).grant) << "the box is open until it is closed";
}

TEST_F(MailroomTest, WaitingIsStopped) {
  OpenBox box{mailroom, key, id};
  std::stop_source stop;
  Addressee addressee{mailroom, box, linked.link, stop.get_token()};
  stop.request_stop();
  EXPECT_EQ(addressee.how(), Link::Waited::stopped);
  EXPECT_TRUE(is_empty(addressee.mail()));
}

TEST_F(MailroomTest, WaitingEndsWithTheLink) {
  OpenBox box{mailroom, key, id};
  Addressee addressee{mailroom, box, linked.link};
  linked.peer.close();
  EXPECT_EQ(addressee.how(), Link::Waited::broken);
  EXPECT_TRUE(is_empty(addressee.mail()));
}

// What lies in the box is had even if the link is broken already.
TEST_F(MailroomTest, MailThatCameBeforeTheLinkBroke) {
  OpenBox box{mailroom, key, id};
  mailroom.deliver(message());
  linked.link.fail({net::Failure::Kind::unreachable, "for this test"});
  EXPECT_TRUE(look_into(box).grant);
}

// Deliveries and stops at the same time as the wait begins and ends: each grant is seen once, and nothing hangs.
TEST_F(MailroomTest, DeliveriesAtAnyMoment) {
  constexpr int rounds = 300;
  for (int i = 0; i < rounds; ++i) {
    OpenBox box{mailroom, key, id};
    std::stop_source stop;
    const std::jthread postman{[&] {
      mailroom.deliver(message());
      stop.request_stop();
    }};
    Link::Waited how{};
    Mailroom::Mail mail = mailroom.wait(box, linked.link, net::far(), stop.get_token(), how);
    EXPECT_TRUE(mail.grant) << "it is in the box before the stop";
  }
}

}  // namespace
}  // namespace redismutex::engine
