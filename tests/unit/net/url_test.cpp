#include "net/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/un.h>

#include <redismutex/connection_options.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace redismutex::net {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// All that a URL can say, in one line.
std::string fields_of(const ConnectionOptions& options) {
  std::string fields;
  if (options.kind == ConnectionOptions::Kind::sentinel)
    fields +=
        "sentinels of " + options.master + ", as " + options.sentinel_username + "/" + options.sentinel_password + ": ";
  if (options.kind == ConnectionOptions::Kind::cluster) fields += "cluster: ";
  for (const ServerAddress& node : options.nodes) fields += display_name(node) + " ";
  fields += "host=" + options.host + " port=" + std::to_string(options.port) + " db=" + std::to_string(options.db) +
            " unix=" + options.unix_socket + " user=" + options.username + " password=" + options.password;
  if (!options.tls) return fields;
  return fields + " tls ca=" + options.tls->ca_file + " certificate=" + options.tls->certificate_file +
         " key=" + options.tls->key_file + " name=" + options.tls->server_name +
         (options.tls->verify ? " verify" : " no-verify");
}

/// The message of the std::invalid_argument that `action` throws; empty when it does not.
template <class Action>
std::string complaint_of(Action action) {
  try {
    action();
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

std::string complaint_about(const std::string& url) {
  return complaint_of([&] { parse_url(url); });
}

const std::string longest_path = "/" + std::string(sizeof(sockaddr_un::sun_path) - 2, 'p');

// ---- good URLs ----

// Each part of a URL arrives in its field, decoded, and what is left out has its default.
TEST(Url, IsReadIntoFields) {
  struct Good {
    std::string url, fields;
  };
  const std::vector<Good> table{
      // Defaults
      {"redis://", "host=localhost port=6379 db=0 unix= user= password="},
      {"redis:///", "host=localhost port=6379 db=0 unix= user= password="},
      {"redis://example.org", "host=example.org port=6379 db=0 unix= user= password="},
      {"redis://example.org/", "host=example.org port=6379 db=0 unix= user= password="},
      {"redis://example.org?", "host=example.org port=6379 db=0 unix= user= password="},
      // Port and database
      {"redis://h:1", "host=h port=1 db=0 unix= user= password="},
      {"redis://h:65535/15", "host=h port=65535 db=15 unix= user= password="},
      {"redis://:6380/1", "host=localhost port=6380 db=1 unix= user= password="},
      {"redis:///7", "host=localhost port=6379 db=7 unix= user= password="},
      {"redis://h/1000000", "host=h port=6379 db=1000000 unix= user= password="},
      {"redis://h?db=3", "host=h port=6379 db=3 unix= user= password="},
      // Credentials
      {"redis://user:secret@h", "host=h port=6379 db=0 unix= user=user password=secret"},
      {"redis://:secret@h:1/2", "host=h port=1 db=2 unix= user= password=secret"},
      {"redis://@h", "host=h port=6379 db=0 unix= user= password="},
      {"redis://:a:b:c@h", "host=h port=6379 db=0 unix= user= password=a:b:c"},
      {"redis://:a@b@h", "host=h port=6379 db=0 unix= user= password=a@b"},
      {"redis://:a/b@h/1", "host=h port=6379 db=1 unix= user= password=a/b"},
      {"redis://user@h", "host=h port=6379 db=0 unix= user=user password="},
      {"redis://user:@h:1", "host=h port=1 db=0 unix= user=user password="},
      {"redis://u%40r@h", "host=h port=6379 db=0 unix= user=u@r password="},
      {"redis://:@h", "host=h port=6379 db=0 unix= user= password="},
      {"redis://u%3A%40:%40%3A%2f%3F%23%25@h", "host=h port=6379 db=0 unix= user=u:@ password=@:/?#%"},
      // Escapes elsewhere
      {"redis://caf%C3%A9.example", "host=caf\xC3\xA9.example port=6379 db=0 unix= user= password="},
      // IPv6
      {"redis://[::1]", "host=::1 port=6379 db=0 unix= user= password="},
      {"redis://[2001:db8::7]:6380/1", "host=2001:db8::7 port=6380 db=1 unix= user= password="},
      {"redis://:p@[fe80::1%25eth0]:1", "host=fe80::1%eth0 port=1 db=0 unix= user= password=p"},
      // Unix sockets
      {"unix:///run/redis.sock", "host=localhost port=6379 db=0 unix=/run/redis.sock user= password="},
      {"unix:///a%20b%40c?db=2", "host=localhost port=6379 db=2 unix=/a b@c user= password="},
      {"unix://u:p@/s", "host=localhost port=6379 db=0 unix=/s user=u password=p"},
      {"unix://u@/s?db=5", "host=localhost port=6379 db=5 unix=/s user=u password="},
      {"unix://:p:q@/s?db=0", "host=localhost port=6379 db=0 unix=/s user= password=p:q"},
      {"unix://" + longest_path, "host=localhost port=6379 db=0 unix=" + longest_path + " user= password="},
      // TLS
      {"rediss://h", "host=h port=6379 db=0 unix= user= password= tls ca= certificate= key= name= verify"},
      {"rediss://h:1/2?verify=no",
       "host=h port=1 db=2 unix= user= password= tls ca= certificate= key= name= no-verify"},
      {"rediss://h?verify=yes&ca_file=/etc/ca%26.pem&certificate_file=c.pem&key_file=k.pem&server_name=n&db=4",
       "host=h port=6379 db=4 unix= user= password= tls ca=/etc/ca&.pem certificate=c.pem key=k.pem name=n verify"},
      // The other family's names
      {"valkey://", "host=localhost port=6379 db=0 unix= user= password="},
      {"valkey://u:p@[::1]:1/2", "host=::1 port=1 db=2 unix= user=u password=p"},
      {"valkey://u@h?db=3", "host=h port=6379 db=3 unix= user=u password="},
      {"valkeys://h", "host=h port=6379 db=0 unix= user= password= tls ca= certificate= key= name= verify"},
      {"valkeys://:p@h/1?verify=no&server_name=n",
       "host=h port=6379 db=1 unix= user= password=p tls ca= certificate= key= name=n no-verify"},
      // Sentinels
      {"redis+sentinel://s1/mymaster",
       "sentinels of mymaster, as /: s1:26379 host=localhost port=6379 db=0 unix= user= password="},
      {"redis+sentinel://u:p@s1,s2:1,[::1]:2,[::2]/my%2Fmaster/3?sentinel_username=su&sentinel_password=s%26p",
       "sentinels of my/master, as su/s&p: s1:26379 s2:1 [::1]:2 [::2]:26379 host=localhost port=6379 db=3 unix= "
       "user=u "
       "password=p"},
      {"redis+sentinel://:a,b@s1/m?db=2",
       "sentinels of m, as /: s1:26379 host=localhost port=6379 db=2 unix= user= password=a,b"},
      {"valkeys+sentinel://s1/m/?verify=no",
       "sentinels of m, as /: s1:26379 host=localhost port=6379 db=0 unix= user= password= tls ca= certificate= key= "
       "name= "
       "no-verify"},
      {"redis-sentinel://s1/m", "sentinels of m, as /: s1:26379 host=localhost port=6379 db=0 unix= user= password="},
      // A cluster
      {"redis+cluster://n1,n2:7001", "cluster: n1:6379 n2:7001 host=localhost port=6379 db=0 unix= user= password="},
      {"valkey+cluster://u:p@[::1]:1/", "cluster: [::1]:1 host=localhost port=6379 db=0 unix= user=u password=p"},
      {"rediss+cluster://n1/0?ca_file=/c",
       "cluster: n1:6379 host=localhost port=6379 db=0 unix= user= password= tls ca=/c certificate= key= name= verify"},
      {"redis-cluster://n1", "cluster: n1:6379 host=localhost port=6379 db=0 unix= user= password="},
  };
  for (const auto& [url, fields] : table) {
    ASSERT_EQ(complaint_about(url), "") << url;
    EXPECT_EQ(fields_of(parse_url(url)), fields) << url;
  }
}

// What no URL says is left at its default.
TEST(Url, LeavesTheRestAlone) {
  const ConnectionOptions options = parse_url("rediss://u:p@h:1/2");
  EXPECT_EQ(options.connect_timeout, 2000ms);
  EXPECT_EQ(options.command_timeout, 2000ms);
  EXPECT_EQ(options.client_name, "");
}

// ---- malformed URLs ----

// Each mistake is reported as std::invalid_argument in words that name it.
TEST(Url, AMistakeIsNamed) {
  struct Bad {
    std::string url, word;
  };
  const std::vector<Bad> table{
      // Scheme
      {"", "no scheme"},
      {"localhost:6379", "no scheme"},
      {"redis:/h", "no scheme"},
      {"//h", "no scheme"},
      {"://h", "unknown scheme"},
      {"http://h", "unknown scheme 'http'"},
      {"redisss://h", "unknown scheme 'redisss'"},
      {"valkeyss://h", "unknown scheme 'valkeyss'"},
      {"tcp://h", "unix:///path"},
      {"redis+http://h", "unknown scheme"},
      {"unix+sentinel:///s", "unknown scheme"},
      // Several
      {"redis+sentinel://", "a host in the list is empty"},
      {"redis+sentinel://s1,", "a host in the list is empty"},
      {"redis+sentinel://s1,,s2/m", "a host in the list is empty"},
      {"redis+sentinel://:1/m", "a host in the list is empty"},
      {"redis+sentinel://s1", "name of the master"},
      {"redis+sentinel://s1/", "name of the master"},
      {"redis+sentinel://s1/m/x", "database"},
      {"redis+sentinel://s1:0/m", "port"},
      {"redis+cluster://", "a host in the list is empty"},
      {"redis+cluster://n1/2", "one database"},
      {"redis+cluster://n1?sentinel_username=u", "unknown parameter"},
      {"redis://h?sentinel_password=p", "unknown parameter"},
      {" redis://h", "unknown scheme"},
      // Port
      {"redis://h:0", "port"},
      {"redis://h:65536", "from 1 to 65535"},
      {"redis://h:99999999999999999999", "port"},
      {"redis://h:abc", "port"},
      {"redis://h:", "port"},
      {"redis://h:/1", "port"},
      {"redis://h:-1", "port"},
      {"redis://h:+1", "port"},
      {"redis://h: 1", "port"},
      {"redis://h:1 ", "port"},
      {"redis://h:6379x", "port"},
      {"redis://h:0x1", "port"},
      // Database
      {"redis://h/-1", "database"},
      {"redis://h/one", "database"},
      {"redis://h/1.0", "database"},
      {"redis://h/1/2", "database"},
      {"redis://h/2147483648", "database"},
      {"redis://h/1000001", "database is not a number from 0 to 1000000"},
      {"redis://h/99999999999999999999", "database"},
      {"unix:///s?db=", "database"},
      {"unix:///s?db=x", "database"},
      // Escapes
      {"redis://%", "'%' in the host"},
      {"redis://h%4", "'%' in the host"},
      {"redis://h%4g", "'%' in the host"},
      {"redis://h%g4", "'%' in the host"},
      {"redis://:%zz@h", "'%' in the password"},
      {"redis://u%:p@h", "'%' in the user"},
      {"unix:///s%2", "'%' in the path"},
      {"rediss://h?ca_file=%", "'%' in the parameter"},
      {"redis://a%00b", "host contains a zero byte"},
      {"redis://:%00@h", "password contains a zero byte"},
      {"unix:///s%00", "path contains a zero byte"},
      {"rediss://h?ca_file=/ca%00", "parameter contains a zero byte"},
      // IPv6
      {"redis://::1", "brackets"},
      {"redis://fe80::1:6379", "brackets"},
      {"redis://[::1", "closing bracket"},
      {"redis://[]", "no IPv6 address"},
      {"redis://[]:1", "no IPv6 address"},
      {"redis://[::1]6379", "only a port may follow"},
      {"redis://[::1]:", "port"},
      {"redis://[::1]:0", "port"},
      // Credentials
      {"redis://%zz@h", "'%' in the user"},
      {"redis://u%00@h", "user contains a zero byte"},
      // A login, and no server
      {"redis://user:p@", "no host follows the login"},
      {"redis://user@", "no host follows the login"},
      {"redis://:p@:6380", "no host follows the login"},
      {"redis://:p@/1", "no host follows the login"},
      {"redis://:p@?db=1", "no host follows the login"},
      {"redis://@", "no host follows the login"},
      {"rediss://:p@?verify=no", "no host follows the login"},
      {"valkey://:p@", "no host follows the login"},
      {"valkeys://u:p@:1", "no host follows the login"},
      {"redis+sentinel://:p@/m", "a host in the list is empty"},
      {"redis+cluster://:p@", "a host in the list is empty"},
      // Host
      {"redis://a,b", "redis+cluster://"},
      {"redis://a:1,b:2", "redis+cluster://"},
      {"redis://a,b:1", "a comma"},
      {"rediss://:p@a%2Cb", "a comma"},
      {"redis+cluster://a%2Cb", "a comma"},
      {"redis://[::1],[::2]", "redis+sentinel://"},
      {"redis:// ", "a blank"},
      {"redis://h ", "a blank"},
      {"redis://h%20", "a blank"},
      {"redis://h\n", "a control character"},
      {"redis://h%0D", "a control character"},
      {"redis://\th", "a control character"},
      {"redis://h%7F", "a control character"},
      {"redis+sentinel://s1, s2/m", "a blank"},
      {"redis+cluster://n1,n2\n", "a control character"},
      // Unix sockets
      {"unix://", "absolute path"},
      {"unix://relative/path", "absolute path"},
      {"unix://:p@relative", "absolute path"},
      {"unix://" + longest_path + "p", "107"},
      // Parameters
      {"redis://h?colour=blue", "unknown parameter"},
      {"redis://h?DB=1", "unknown parameter"},
      {"redis://h?db", "parameter has no value"},
      {"redis://h?db=1&&db=2", "no value"},
      {"redis://h?verify=no", "unknown parameter"},
      {"valkey://h?ca_file=/ca", "with rediss or valkeys"},
      {"redis://h?ca_file=/ca", "unknown parameter"},
      {"unix:///s?server_name=n", "unknown parameter"},
      {"rediss://h?verify=maybe", "yes or no"},
      {"rediss://h?verify=", "yes or no"},
      {"rediss://h?certificate_file=/c", "key_file"},
      {"rediss://h?key_file=/k", "certificate_file"},
      // Fragment
      {"redis://h#1", "%23"},
      {"redis://:p#q@h", "%23"},
      {"unix:///s#", "%23"},
  };
  for (const auto& [url, word] : table) {
    EXPECT_THAT(complaint_about(url), HasSubstr(word)) << url;
  }
}

// No message shows a password, or a piece of it: whatever else is wrong, and whatever the password is made of.
TEST(Url, NoMessageShowsThePassword) {
  const std::vector<std::string> passwords{"hunter2",
                                           "hunter2?",
                                           "hunter2?hunter2",
                                           "hunter2/hunter2",
                                           "hunter2:hunter2",
                                           "hunter2@hunter2",
                                           "hunter2#hunter2",
                                           "hunter2%",
                                           "hunter2%zz",
                                           "hunter2%00",
                                           "[hunter2",
                                           "]hunter2",
                                           "hunter2&hunter2=hunter2",
                                           "?hunter2=1",
                                           "hunter2://hunter2",
                                           "/hunter2",
                                           "%hunter2"};
  const std::vector<std::string> frames{"redis://user:<>@h:0",
                                        "redis://:<>@h:x",
                                        "redis://:<>@h/x",
                                        "rediss://u:<>@h?x",
                                        "unix://:<>@relative",
                                        "unix://u:<>@/s?db=x",
                                        "redis://<>@h",
                                        "redis://:<>@",
                                        "redis://:<>@[::1",
                                        "redis://:<>@::1",
                                        "http://u:<>@h",
                                        "u:<>@h",
                                        "redis://:<>@h",
                                        "redis:/:<>@h",
                                        "redis://u:<>@h#",
                                        "rediss://:<>@h?verify=x",
                                        "valkey://:<>@h:0",
                                        "valkeys://<>@h?verify=x",
                                        "redis://<>@h:0",
                                        "unix://<>@relative",
                                        "redis://:<>@h?db=@x",
                                        "u:<>",
                                        "redis+sentinel://:<>@s",
                                        "redis+sentinel://s/m?sentinel_password=<>&x",
                                        "redis+cluster://:<>@n/2",
                                        "redis+cluster://<>@n,"};
  for (const auto& frame : frames) {
    for (const auto& password : passwords) {
      const auto at = frame.find("<>");
      const std::string url = std::string{frame}.replace(at, 2, password);
      EXPECT_THAT(complaint_about(url), Not(HasSubstr("hunter2"))) << url;
    }
  }
}

// Who forgets the host has written the password where port and database belong: that is not shown either.
TEST(Url, NoMessageShowsAPasswordInThePlaceOfThePort) {
  EXPECT_THAT(complaint_about("redis://user:hunter2"), AllOf(HasSubstr("port"), Not(HasSubstr("hunter2"))));
  EXPECT_THAT(complaint_about("redis://:hunter2/1"), AllOf(HasSubstr("port"), Not(HasSubstr("hunter2"))));
  EXPECT_THAT(complaint_about("redis://user:123456"), AllOf(HasSubstr("port"), Not(HasSubstr("123456"))));
  EXPECT_THAT(complaint_about("redis://:1234/hunter2"), AllOf(HasSubstr("database"), Not(HasSubstr("hunter2"))));
}

// ---- ConnectionOptions ----

// Options that can work pass: the defaults, and each field at its bounds.
TEST(ConnectionOptionsCheck, AcceptsWhatCanWork) {
  EXPECT_NO_THROW(validate({}));
  EXPECT_NO_THROW(validate({.port = 1}));
  EXPECT_NO_THROW(validate({.port = 65535, .db = 1'000'000}));
  EXPECT_NO_THROW(validate({.host = "", .port = 0, .unix_socket = longest_path}));
  EXPECT_NO_THROW(validate({.username = "u", .password = "p"}));
  EXPECT_NO_THROW(validate({.password = "p"}));
  EXPECT_NO_THROW(validate({.username = "u"}));
  EXPECT_NO_THROW(validate({.tls = TlsOptions{}}));
  EXPECT_NO_THROW(validate({.tls = TlsOptions{.certificate_file = "c", .key_file = "k"}}));
  EXPECT_NO_THROW(validate({.connect_timeout = 1ms, .command_timeout = 1h}));
  EXPECT_NO_THROW(validate({.client_name = ""}));
  EXPECT_NO_THROW(validate({.client_name = "!~"}));
  EXPECT_NO_THROW(validate({.credentials = [] { return Credentials{}; }}));
}

// Options that can not work are refused in words that name field, value and bound.
TEST(ConnectionOptionsCheck, NamesFieldValueAndBound) {
  using Kind = ConnectionOptions::Kind;
  struct Bad {
    ConnectionOptions options;
    std::vector<std::string> words;
  };
  const std::vector<Bad> table{
      {{.host = ""}, {"host", "empty"}},
      {{.host = std::string("a\0b", 3)}, {"host", "zero byte"}},
      {{.host = "a,b"}, {"host", "a comma"}},
      {{.host = " a"}, {"host", "a blank"}},
      {{.host = "a\x1B"}, {"host", "a control character"}},
      {{.port = 0}, {"port is 0", "1 to 65535"}},
      {{.db = -1}, {"db is -1", "negative"}},
      {{.unix_socket = longest_path + "p"}, {"unix_socket has 108 bytes", "at most 107"}},
      {{.unix_socket = std::string("/a\0b", 4)}, {"unix_socket", "zero"}},
      {{.memory = "m"}, {"memory", "redismutex::testing", "redismutex-testing"}},
      {{.tls = TlsOptions{.certificate_file = "c"}}, {"certificate_file", "key_file"}},
      {{.tls = TlsOptions{.key_file = "k"}}, {"certificate_file", "key_file"}},
      {{.connect_timeout = 0ms}, {"connect_timeout is 0 ms", "1 to 3600000 ms"}},
      {{.connect_timeout = -1ms}, {"connect_timeout is -1 ms", "1 to 3600000 ms"}},
      {{.connect_timeout = 1h + 1ms}, {"connect_timeout is 3600001 ms", "1 to 3600000 ms"}},
      {{.command_timeout = 0ms}, {"command_timeout is 0 ms", "1 to 3600000 ms"}},
      {{.command_timeout = std::chrono::milliseconds::max()}, {"command_timeout", "1 to 3600000 ms"}},
      {{.command_timeout = std::chrono::milliseconds::min()}, {"command_timeout", "1 to 3600000 ms"}},
      {{.client_name = "two words"}, {"client_name", "spaces"}},
      {{.client_name = "line\n"}, {"client_name"}},
      {{.client_name = "caf\xC3\xA9"}, {"client_name", "ASCII"}},
      {{.client_name = std::string(1, '\0')}, {"client_name"}},
      {{.nodes = {{"s", 1}}}, {"nodes", "sentinel or cluster"}},
      {{.kind = Kind::sentinel, .master = "m"}, {"nodes is empty"}},
      {{.kind = Kind::sentinel, .nodes = {{"s", 0}}, .master = "m"}, {"nodes: port is 0"}},
      {{.kind = Kind::sentinel, .nodes = {{"", 1}}, .master = "m"}, {"nodes: host"}},
      {{.kind = Kind::sentinel, .nodes = {{"s,t", 1}}, .master = "m"}, {"nodes: host", "a comma"}},
      {{.kind = Kind::sentinel, .nodes = {{"s", 1}}}, {"master is empty"}},
      {{.unix_socket = "/s", .kind = Kind::sentinel, .nodes = {{"s", 1}}, .master = "m"}, {"unix_socket"}},
      {{.kind = Kind::cluster, .nodes = {{"s", 1}}, .master = "m"}, {"master", "kind must be sentinel"}},
      {{.sentinel_password = "p"}, {"sentinel_password", "kind must be sentinel"}},
      {{.db = 1, .kind = Kind::cluster, .nodes = {{"s", 1}}}, {"db is 1", "one database"}},
      {{.username = "u", .credentials = [] { return Credentials{}; }}, {"credentials", "username", "password"}},
      {{.password = "p", .credentials = [] { return Credentials{}; }}, {"credentials", "username", "password"}},
  };
  for (const auto& [options, words] : table) {
    const std::string complaint = complaint_of([&bad = options] { validate(bad); });
    for (const auto& word : words) EXPECT_THAT(complaint, HasSubstr(word));
  }
}

// ---- names in messages ----

// The name of a server has what tells it from others, reads as a URL of ours, and never credentials.
TEST(DisplayName, IsAUrlWithoutCredentials) {
  const auto name_of = [](const std::string& url) { return display_name(parse_url(url)); };
  EXPECT_EQ(display_name(ConnectionOptions{}), "redis://localhost:6379");
  EXPECT_EQ(name_of("valkeys+sentinel://u:secret@s1,[::1]:5/m/2?sentinel_password=secret"),
            "rediss+sentinel://s1:26379,[::1]:5/m/2");
  EXPECT_EQ(name_of("redis+cluster://:secret@n1,n2:7001"), "redis+cluster://n1:6379,n2:7001");
  EXPECT_EQ(name_of("redis://user:secret@h:1/2"), "redis://h:1/2");
  EXPECT_EQ(name_of("rediss://:secret@h?verify=no"), "rediss://h:6379");
  EXPECT_EQ(name_of("valkey://user@h"), "redis://h:6379");
  EXPECT_EQ(name_of("valkeys://h:1/2"), "rediss://h:1/2");
  EXPECT_EQ(name_of("redis://:secret@[::1]/3"), "redis://[::1]:6379/3");
  EXPECT_EQ(name_of("unix://u:secret@/run/s"), "unix:///run/s");
  EXPECT_EQ(name_of("unix://:secret@/run/s?db=4"), "unix:///run/s?db=4");
  EXPECT_EQ(display_name(ConnectionOptions{.host = "unused", .unix_socket = "/s", .tls = TlsOptions{}}), "unix:///s");
}

}  // namespace
}  // namespace redismutex::net
