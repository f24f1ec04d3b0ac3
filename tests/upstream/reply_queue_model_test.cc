// The reply queue against a model of a PostgreSQL server: whatever a client pipelines, whatever
// fails, however replies and requests interleave, the client is shown exactly what a direct
// connection would have shown, although the proxy answers some messages itself and slips in others.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "pgrecall/upstream/reply_queue.h"

namespace pgrecall::upstream {
namespace {

/// A backend message: its type and what it was about.
struct Said {
  char type;
  int about;
};

enum class Act : uint8_t {
  kParse,
  kKnownParse,  ///< the proxy answers it: the server has the statement
  kBind,
  kDescribeStatement,
  kDescribePortal,
  kExecute,
  kExecuteCopyIn,
  kClose,
  kKnownClose,  ///< the proxy answers it
  kSync,
  kFlush,
  kQuery,
  kQueryCopyIn,
  kFunctionCall,
  kCopyData,
  kCopyDone,
  kCopyFail,
};

struct Message {
  Act act;
  int about = 0;
  bool fails = false;         ///< an error when its turn comes
  bool fails_at_end = false;  ///< Sync: the commit; copies: right after the response
  bool notice = false;
  bool on_replay = false;  ///< its error comes from what the proxy slipped in before it
  uint8_t rows = 0;
};

class ModelServer {
 public:
  std::deque<Said> out;

  void take(const Message& message) {
    if (copying_) return in_copy(message);
    if (skipping_ && message.act != Act::kSync) return;
    if (message.notice) say(message, 'N');
    switch (message.act) {
      case Act::kParse:
      case Act::kKnownParse:
        return extended(message, "1");
      case Act::kBind:
        return extended(message, "2");
      case Act::kDescribeStatement:
        return extended(message, message.rows > 0 ? "tT" : "tn");
      case Act::kDescribePortal:
        return extended(message, message.rows > 0 ? "T" : "n");
      case Act::kExecute:
        return extended(message, std::string(message.rows, 'D') + "CIs"[message.about % 3]);
      case Act::kClose:
      case Act::kKnownClose:
        return extended(message, "3");
      case Act::kExecuteCopyIn:
      case Act::kQueryCopyIn:
        return begin_copy(message);
      case Act::kSync:
        skipping_ = false;
        if (message.fails_at_end) say(message, 'E');
        return say(message, 'Z');
      case Act::kQuery:
        say_all(message, message.fails ? "TDE" : "TD" + std::string(message.rows, 'D') + "C");
        return say(message, 'Z');
      case Act::kFunctionCall:
        say(message, message.fails ? 'E' : 'V');
        return say(message, 'Z');
      default:
        return;  // Flush; copy messages that no copy waits for
    }
  }

 private:
  void say(const Message& message, char type) { out.push_back({type, message.about}); }
  void say_all(const Message& message, const std::string& types) {
    for (char type : types) say(message, type);
  }

  void extended(const Message& message, const std::string& types) {
    if (message.fails) return error(message);
    say_all(message, types);
  }

  void error(const Message& message) {
    say(message, 'E');
    skipping_ = true;
  }

  void begin_copy(const Message& message) {
    copy_ = message;
    if (message.fails) return fail_copy(message);
    say(message, 'G');
    if (message.fails_at_end) return fail_copy(message);
    copying_ = true;
  }

  void fail_copy(const Message& message) {
    copying_ = false;
    if (copy_.act == Act::kExecuteCopyIn) return error(message);
    say(message, 'E');
    say(message, 'Z');
  }

  void in_copy(const Message& message) {
    if (message.act == Act::kCopyFail || (message.act == Act::kCopyData && message.fails)) {
      return fail_copy(message);
    }
    if (message.act != Act::kCopyDone) return;  // data, Sync and Flush
    copying_ = false;
    say(copy_, 'C');
    if (copy_.act == Act::kQueryCopyIn) say(copy_, 'Z');
  }

  bool skipping_ = false;
  bool copying_ = false;
  Message copy_{Act::kFlush};
};

/// What the proxy does, reduced to its use of the queue.
class ModelProxy {
 public:
  explicit ModelProxy(std::mt19937& random) : random_(random) {}

  std::vector<Said> shown;
  std::deque<Message> to_server;

  /// Nothing is begun behind a copy before it is known how many of its Syncs were answered.
  bool blocks(const Message& next) const {
    return copied_ && begins(next.act) && (owes() || queue_.uncertain());
  }

  void from_client(const Message& message) {
    if (begins(message.act)) copied_ = message.act == Act::kExecuteCopyIn;
    if (queue_.copy_in()) {
      if (message.act == Act::kCopyDone || message.act == Act::kCopyFail) queue_.end_copy_in();
      if (message.act == Act::kSync) queue_.push(Reply::kSync, Route::kForward);
      return to_server.push_back(message);
    }
    slip_in(message);
    switch (message.act) {
      case Act::kKnownParse:
        return answer('1', message.about);
      case Act::kKnownClose:
        return answer('3', message.about);
      case Act::kCopyDone:
      case Act::kCopyFail:
        send(message, Reply::kCopyEnd);
        return;
      case Act::kCopyData:
      case Act::kFlush:
        return to_server.push_back(message);
      default:
        send(message, reply_of(message.act));
    }
  }

  void from_server(const Said& said) {
    const Step step = queue_.on_message(said.type);
    ASSERT_FALSE(step.bad) << said.type << " about " << said.about;
    if (step.route == Route::kForward) shown.push_back(said);
    std::string own;
    uint32_t note = 0;
    while (queue_.take_own(&own, &note)) shown.push_back({own[0], static_cast<int>(note)});
    if (said.type == 'Z' && queue_.empty() && queue_.uncertain()) {
      to_server.push_back({.act = Act::kQuery});
      queue_.push(Reply::kQuery, Route::kSkip);
    }
  }

  bool owes() const { return queue_.owes_client(); }
  bool empty() const { return queue_.empty(); }

 private:
  static bool begins(Act act) {
    return act != Act::kCopyData && act != Act::kCopyDone && act != Act::kCopyFail &&
           act != Act::kSync && act != Act::kFlush;
  }

  static Reply reply_of(Act act) {
    switch (act) {
      case Act::kParse:
        return Reply::kParse;
      case Act::kBind:
        return Reply::kBind;
      case Act::kDescribeStatement:
        return Reply::kDescribeStatement;
      case Act::kDescribePortal:
        return Reply::kDescribePortal;
      case Act::kClose:
        return Reply::kClose;
      case Act::kSync:
        return Reply::kSync;
      case Act::kQuery:
      case Act::kQueryCopyIn:
        return Reply::kQuery;
      case Act::kFunctionCall:
        return Reply::kFunctionCall;
      default:
        return Reply::kExecute;
    }
  }

  void send(const Message& message, Reply reply) {
    Message sent = message;
    sent.fails = message.fails && !message.on_replay;
    to_server.push_back(sent);
    queue_.push(reply, Route::kForward);
  }

  void answer(char type, int about) {
    if (queue_.skipping_to_sync()) return;
    if (queue_.empty())
      shown.push_back({type, about});
    else
      queue_.push_own(std::string(1, type), static_cast<uint32_t>(about));
  }

  /// Statements replayed or evicted before a Bind or Describe, set-up queries before a Query.
  void slip_in(const Message& message) {
    const bool needs_statement =
        message.act == Act::kBind || message.act == Act::kDescribeStatement;
    if (needs_statement && (message.on_replay || random_() % 2 == 0)) {
      if (random_() % 3 == 0) {
        to_server.push_back({.act = Act::kClose});
        queue_.push(Reply::kClose, Route::kSkip);
      }
      to_server.push_back({.act = Act::kParse,
                           .about = message.about,
                           .fails = message.fails && message.on_replay,
                           .notice = !message.on_replay && random_() % 4 == 0});
      queue_.push(Reply::kParse, Route::kSkipNoError);
    }
    if (message.act == Act::kQuery && queue_.empty() && random_() % 2 == 0) {
      to_server.push_back({.act = Act::kQuery, .notice = random_() % 2 == 0});
      queue_.push(Reply::kQuery, Route::kSkip);
    }
  }

  std::mt19937& random_;
  ReplyQueue queue_;
  bool copied_ = false;
};

class Generator {
 public:
  explicit Generator(std::mt19937& random) : random_(random) {}

  std::vector<Message> conversation() {
    const size_t length = 1 + random_() % 24;
    while (messages_.size() < length) add_one();
    add(Act::kSync);
    return std::move(messages_);
  }

 private:
  bool one_in(unsigned n) { return random_() % n == 0; }

  Message& add(Act act) {
    messages_.push_back({.act = act, .about = static_cast<int>(messages_.size()) + 1});
    Message& message = messages_.back();
    const bool silent = act == Act::kSync || act == Act::kFlush || act == Act::kCopyData ||
                        act == Act::kCopyDone || act == Act::kCopyFail;
    message.notice = !silent && one_in(8);
    message.rows = static_cast<uint8_t>(random_() % 3);
    return message;
  }

  void add_one() {
    static constexpr Act kActs[] = {
        Act::kParse,      Act::kKnownParse,   Act::kBind,           Act::kDescribeStatement,
        Act::kExecute,    Act::kExecute,      Act::kDescribePortal, Act::kClose,
        Act::kKnownClose, Act::kSync,         Act::kSync,           Act::kFlush,
        Act::kQuery,      Act::kFunctionCall, Act::kExecuteCopyIn,  Act::kQueryCopyIn};
    const Act act = kActs[random_() % std::size(kActs)];
    const bool executed = !messages_.empty() && messages_.back().act == Act::kExecute;
    Message& message = add(act);
    const bool copy = act == Act::kExecuteCopyIn || act == Act::kQueryCopyIn;
    if (act == Act::kSync) {
      message.fails_at_end = executed && one_in(3);
      return;
    }
    // What the proxy answers itself is known to succeed in silence.
    const bool known = act == Act::kKnownParse || act == Act::kKnownClose;
    message.notice = message.notice && !known;
    message.fails = !known && one_in(6);
    message.on_replay = one_in(2) && (act == Act::kBind || act == Act::kDescribeStatement);
    message.notice = message.notice && !message.on_replay;
    if (copy) {
      message.fails_at_end = one_in(6);
      add_copy(act);
    }
  }

  /// A client in copy mode sends nothing else, and a Sync behind the end of an extended one.
  void add_copy(Act act) {
    for (unsigned i = random_() % 4; i > 0; --i) {
      if (act == Act::kExecuteCopyIn && one_in(3))
        add(Act::kSync);
      else
        add(one_in(4) ? Act::kFlush : Act::kCopyData).fails = one_in(8);
    }
    add(one_in(4) ? Act::kCopyFail : Act::kCopyDone);
    if (act == Act::kExecuteCopyIn) add(Act::kSync);
  }

  std::mt19937& random_;
  std::vector<Message> messages_;
};

std::vector<Said> direct(const std::vector<Message>& conversation) {
  ModelServer server;
  for (const Message& message : conversation) server.take(message);
  return {server.out.begin(), server.out.end()};
}

std::string text(const std::vector<Message>& conversation) {
  static constexpr std::string_view kNames[] = {
      "Parse",       "Parse*",   "Bind",   "DescribeS", "DescribeP", "Execute",
      "ExecuteCopy", "Close",    "Close*", "Sync",      "Flush",     "Query",
      "QueryCopy",   "Function", "Data",   "Done",      "Fail"};
  std::string out;
  for (const Message& message : conversation) {
    out += std::to_string(message.about) + ":";
    out += kNames[static_cast<size_t>(message.act)];
    out += message.fails ? "!" : "";
    out += message.fails_at_end ? "!!" : "";
    out += ' ';
  }
  return out;
}

std::string text(const std::vector<Said>& said) {
  std::string out;
  for (const Said& one : said) out += one.type + std::to_string(one.about) + ' ';
  return out;
}

TEST(ReplyQueueModel, TheClientIsShownWhatADirectConnectionShows) {
  for (unsigned seed = 0; seed < 30'000; ++seed) {
    std::mt19937 random(seed);
    const std::vector<Message> conversation = Generator(random).conversation();
    ModelServer server;
    ModelProxy proxy(random);
    size_t next = 0;
    while (next < conversation.size() || !proxy.to_server.empty() || !server.out.empty()) {
      switch (random() % 3) {
        case 0:
          if (next < conversation.size() && !proxy.blocks(conversation[next])) {
            proxy.from_client(conversation[next++]);
          }
          break;
        case 1:
          if (proxy.to_server.empty()) break;
          server.take(proxy.to_server.front());
          proxy.to_server.pop_front();
          break;
        default:
          if (server.out.empty()) break;
          proxy.from_server(server.out.front());
          server.out.pop_front();
      }
      ASSERT_FALSE(testing::Test::HasFatalFailure())
          << "seed " << seed << ": " << text(conversation) << " shown: " << text(proxy.shown);
    }
    ASSERT_EQ(text(proxy.shown), text(direct(conversation)))
        << "seed " << seed << ": " << text(conversation);
    ASSERT_FALSE(proxy.owes()) << "seed " << seed;
    ASSERT_TRUE(proxy.empty()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace pgrecall::upstream
