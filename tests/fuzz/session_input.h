// A whole world under any order of client messages, server bytes and accidents, decoded from bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/assert.h"
#include "session/messages.h"
#include "session/world.h"

namespace pgrecall::session::testing {

class SessionInput {
 public:
  SessionInput(const uint8_t* data, size_t size)
      : data_(reinterpret_cast<const char*>(data), size), world_(options(byte())) {}

  void run() {
    for (int i = 0; i < 2; ++i) clients_.push_back(newcomer());
    while (!data_.empty()) one();
    for (Client* client : clients_) client->vanish();
    world_.pump();
    if (world_.hostile) return;
    // Nothing is left behind: no lease, no fence, nobody in line.
    for (size_t i = 0; i < world_.servers_made(); ++i) {
      if (world_.server(i).sleeping()) world_.wake(i);
    }
    world_.pump();
    const auto numbers = world_.pool().numbers();
    PGR_ASSERT(numbers.waiting == 0 && numbers.idle == numbers.connections);
    PGR_ASSERT(world_.epochs.open_fences() == 0);
  }

 private:
  static WorldOptions options(uint8_t choice) {
    WorldOptions made = defaults();
    made.config.pool.size = 1 + choice % 2;
    made.config.pool.lazy_begin = (choice & 2) == 0;
    if ((choice & 4) != 0) made.config.pool.mode = config::PoolMode::kSession;
    made.every_byte = (choice & 8) != 0;
    return made;
  }

  /// Its login may have to wait for a server that the other one holds.
  Client* newcomer() {
    Client& client = world_.stranger();
    client.send(startup({{"user", "alice"}, {"database", "site"}}));
    world_.pump();
    return &client;
  }

  uint8_t byte() {
    if (data_.empty()) return 0;
    const auto value = static_cast<uint8_t>(data_.front());
    data_.remove_prefix(1);
    return value;
  }

  std::string_view some() {
    const std::string_view taken = data_.substr(0, byte() % 32);
    data_.remove_prefix(std::min(taken.size(), data_.size()));
    return taken;
  }

  std::string sql() {
    static constexpr std::string_view kTexts[] = {"select a from t",
                                                  "select a from u",
                                                  "select sleeps from t",
                                                  "update t set a = 'x'",
                                                  "begin",
                                                  "commit",
                                                  "rollback",
                                                  "savepoint s1",
                                                  "rollback to s1",
                                                  "release s1",
                                                  "set timezone = 'Asia/Tokyo'",
                                                  "set local search_path = tenant_a",
                                                  "reset all",
                                                  "discard all",
                                                  "copy t from stdin",
                                                  "select fails from t",
                                                  "nonsense",
                                                  "do 'bump t'",
                                                  "prepare p1 as select a from t",
                                                  "execute p1",
                                                  "deallocate all",
                                                  "listen c",
                                                  "select a from t; update u set a = 'y'",
                                                  "",
                                                  "begin; select fails from t"};
    return std::string(kTexts[byte() % std::size(kTexts)]);
  }

  std::string name() {
    return std::string(1, static_cast<char>('a' + byte() % 4)).substr(byte() % 2);
  }

  std::string message() {
    switch (byte() % 18) {
      case 0:
      case 1:
        return query(sql());
      case 2:
        return unit(sql());
      case 3:
        return parse(name(), sql());
      case 4:
        return testing::bind(name(), {.parameters = {}, .portal = name()});
      case 5:
        return describe(name());
      case 6:
        return describe_statement(name());
      case 7:
        return execute(byte() % 3, name());
      case 8:
        return close_statement(name());
      case 9:
        return close_portal(name());
      case 10:
      case 11:
        return testing::sync();
      case 12:
        return flush();
      case 13:
        return copy_data("x");
      case 14:
        return byte() % 2 == 0 ? copy_done() : copy_fail();
      case 15:
        return function_call();
      default:
        return framed("QPBDECSHFdcfp"[byte() % 13], some());
    }
  }

  /// Any payload under a proper length.
  static std::string framed(char type, std::string_view payload) {
    std::string out(1, type);
    wire::append_u32(out, static_cast<uint32_t>(payload.size() + 4));
    return out.append(payload);
  }

  void one() {
    const uint8_t choice = byte();
    Client*& client = clients_[choice % 2];
    if (client->closed) client = newcomer();
    const size_t server = world_.leased(*client);
    switch (choice / 2 % 24) {
      case 0:
        return client->vanish();
      case 1:
        client->session.on_cancel();
        return;
      case 2:
        if (server != SIZE_MAX) world_.kill(server, byte() % 2 == 0 ? "57P01" : "");
        return;
      case 3:
        client->send(some());
        return;
      case 4:
        if (byte() % 8 == 0) be_hostile(server);
        return;
      case 5:
        if (server != SIZE_MAX && world_.server(server).sleeping()) world_.wake(server);
        return;
      case 6:
        world_.outside_write("t");
        return;
      case 7:
        world_.catalog_changes();
        return;
      case 8:
      case 9:
        return world_.pump();
      default:
        client->send(message());
        if (byte() % 2 == 0) world_.pump();
    }
  }

  void be_hostile(size_t server) {
    if (server == SIZE_MAX) return;
    world_.hostile = true;
    world_.server(server).say(byte() % 4 == 0
                                  ? std::string(some())
                                  : framed("123tTnDCIsGHdcVZENSA"[byte() % 20], some()));
  }

  std::string_view data_;
  World world_;
  std::vector<Client*> clients_;
};

}  // namespace pgrecall::session::testing
