// The least any server can do: speaks PostgreSQL's protocol and answers everything with one row
// from memory. What a benchmark measures against it is the cost of sockets, kernel and client
// alone.
//
//   canned_responder PORT
//
// Works with pgbench -S in its three protocol modes: pgbench's own questions about its tables, the
// only ones it spells with a small "select", are answered as for scale 1.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pgrecall/net/listener.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/net/signals.h"
#include "pgrecall/net/stream.h"

namespace {

using namespace pgrecall;

constexpr size_t kMessageBytesMax = 1024 * 1024;
constexpr uint32_t kSslRequest = 80877103, kGssRequest = 80877104, kCancelRequest = 80877102;

uint32_t read_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void put_u16(std::string& out, uint16_t value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value));
}

std::string message(char type, std::string_view body) {
  std::string out(1, type);
  put_u32(out, static_cast<uint32_t>(body.size() + 4));
  return out.append(body);
}

std::string int4_column(std::string_view name) {
  std::string out(name);
  out.push_back('\0');
  put_u32(out, 16384);  // table
  put_u16(out, 3);      // column
  put_u32(out, 23);     // int4
  put_u16(out, 4);
  put_u32(out, 0xffffffffU);
  put_u16(out, 0);  // text
  return out;
}

std::string row_description(std::initializer_list<std::string_view> names) {
  std::string body;
  put_u16(body, static_cast<uint16_t>(names.size()));
  for (const std::string_view name : names) body += int4_column(name);
  return message('T', body);
}

std::string value(std::string_view text) {
  std::string out;
  put_u32(out, static_cast<uint32_t>(text.size()));
  return out.append(text);
}

std::string null_value() {
  std::string out;
  put_u32(out, 0xffffffffU);
  return out;
}

std::string data_row(std::initializer_list<std::string> values) {
  std::string body;
  put_u16(body, static_cast<uint16_t>(values.size()));
  for (const std::string& one : values) body += one;
  return message('D', body);
}

/// Every answer, built once.
struct Answers {
  std::string ready = message('Z', "I");
  std::string parse_complete = message('1', "");
  std::string bind_complete = message('2', "");
  std::string close_complete = message('3', "");
  std::string complete = message('C', std::string_view("SELECT 1\0", 9));
  std::string description = row_description({"abalance"});
  std::string statement = message('t', std::string_view("\0\0", 2)) + description;
  std::string execute = data_row({value("0")}) + complete;
  std::string query = description + execute + ready;
  std::string about_tables = row_description({"n", "partstrat", "count"}) +
                             data_row({value("1"), null_value(), value("0")}) + complete + ready;
  std::string login = message('R', std::string_view("\0\0\0\0", 4)) +
                      message('S', std::string_view("server_version\00015.0\0", 20)) +
                      message('S', std::string_view("client_encoding\0UTF8\0", 21)) +
                      message('S', std::string_view("standard_conforming_strings\0on\0", 31)) +
                      message('K', std::string_view("\0\0\0\1\0\0\0\1", 8)) + ready;
};

class Server;

class Client : public net::StreamHandler {
 public:
  Client(Server& server, net::Loop& loop, int fd)
      : server_(server), stream_(net::Stream::adopt(loop, fd, *this)) {}

  void on_readable_bytes(std::string_view bytes) override;
  void on_writable_drained() override {}
  void on_end(int) override;

 private:
  size_t take_startup(std::string_view bytes);
  size_t take_message(std::string_view bytes);
  void answer(char type, std::string_view body);

  Server& server_;
  std::unique_ptr<net::Stream> stream_;
  std::string partial_;  ///< the beginning of a message whose rest has not arrived
  std::string out_;
  bool started_ = false;
  bool broken_ = false;
};

class Server {
 public:
  explicit Server(net::Loop& loop) : loop_(loop) {}
  void accept(const net::Accepted& accepted) {
    auto client = std::make_unique<Client>(*this, loop_, accepted.fd);
    Client* key = client.get();
    clients_.emplace(key, std::move(client));
  }
  void remove(Client* client) { clients_.erase(client); }
  const Answers answers;

 private:
  net::Loop& loop_;
  std::unordered_map<Client*, std::unique_ptr<Client>> clients_;
};

void Client::on_readable_bytes(std::string_view bytes) {
  const bool joined = !partial_.empty();
  if (joined) bytes = partial_.append(bytes);
  out_.clear();
  while (!broken_) {
    const size_t taken = started_ ? take_message(bytes) : take_startup(bytes);
    if (taken == 0) break;
    bytes.remove_prefix(taken);
  }
  stream_->write(out_);
  if (broken_) {
    server_.remove(this);
    return;
  }
  if (!joined || bytes.size() != partial_.size()) partial_ = std::string(bytes);
}

size_t Client::take_startup(std::string_view bytes) {
  if (bytes.size() < 8) return 0;
  const size_t length = read_u32(bytes);
  if (length < 8 || length > kMessageBytesMax) broken_ = true;
  if (broken_ || bytes.size() < length) return 0;
  const uint32_t code = read_u32(bytes.substr(4));
  if (code == kSslRequest || code == kGssRequest) {
    out_.push_back('N');
  } else if (code == kCancelRequest) {
    broken_ = true;
  } else {
    started_ = true;
    out_ += server_.answers.login;
  }
  return length;
}

size_t Client::take_message(std::string_view bytes) {
  if (bytes.size() < 5) return 0;
  const size_t length = read_u32(bytes.substr(1));
  if (length < 4 || length > kMessageBytesMax) broken_ = true;
  if (broken_ || bytes.size() < length + 1) return 0;
  answer(bytes[0], bytes.substr(5, length - 4));
  return length + 1;
}

void Client::answer(char type, std::string_view body) {
  const Answers& answers = server_.answers;
  switch (type) {
    case 'Q':
      out_ += body.starts_with("select") ? answers.about_tables : answers.query;
      break;
    case 'P':
      out_ += answers.parse_complete;
      break;
    case 'B':
      out_ += answers.bind_complete;
      break;
    case 'D':
      out_ += body.starts_with('S') ? answers.statement : answers.description;
      break;
    case 'E':
      out_ += answers.execute;
      break;
    case 'S':
      out_ += answers.ready;
      break;
    case 'C':
      out_ += answers.close_complete;
      break;
    case 'H':
      break;
    default:  // Terminate, or something that a benchmark does not send
      broken_ = true;
  }
}

void Client::on_end(int) {
  server_.remove(this);
}

int fail(const Error& error) {
  fmt::print(stderr, "canned_responder: {}\n", error.message);
  return 1;
}

int serve(uint16_t port) {
  auto loop = net::Loop::create();
  if (!loop.ok()) return fail(loop.error());
  auto server = std::make_unique<Server>(**loop);
  auto listener = net::Listener::open_tcp(
      **loop, "127.0.0.1", port, [&](const net::Accepted& accepted) { server->accept(accepted); },
      [](std::string_view text) { fmt::print(stderr, "canned_responder: {}\n", text); });
  if (!listener.ok()) return fail(listener.error());
  auto signals = net::Signals::watch(**loop, {SIGINT, SIGTERM}, [&](int) { (*loop)->stop(); });
  if (!signals.ok()) return fail(signals.error());
  fmt::print("listening on 127.0.0.1:{}\n", (*listener)->port());
  std::fflush(stdout);
  (*loop)->run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  char* end = nullptr;
  const unsigned long port = argc == 2 ? std::strtoul(argv[1], &end, 10) : 65536;
  if (port > 65535 || end == argv[1] || *end != '\0') {
    fmt::print(stderr, "usage: canned_responder PORT (0: any free one)\n");
    return 2;
  }
  return serve(static_cast<uint16_t>(port));
}
