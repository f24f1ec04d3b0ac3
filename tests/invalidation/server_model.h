// A small PostgreSQL server as far as commits go: table versions, blocks, implicit transactions,
// errors, two-phase commit, backends that run on after their client is gone.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgrecall::invalidation::model {

constexpr int kTables = 3;  ///< table 0 is the catalog; every read depends on it
using Versions = std::array<int, kTables>;
using TableSet = unsigned;  ///< bit i: table i

enum class Op {
  kRead,
  kWrite,   ///< writes `table`
  kOpaque,  ///< writes `table`, but the proxy does not know which
  kDdl,     ///< writes table 0
  kCall,    ///< writes `table`, commits if it can, writes `table` again
  kBegin,
  kCommit,
  kRollback,
  kSavepoint,
  kRollbackTo,
  kPrepare,
  kCommitPrepared,
  kRollbackPrepared
};

struct Statement {
  Op op = Op::kRead;
  int table = 1;
  bool fails = false;         ///< an error when it runs (a CALL: after its commit)
  bool fails_commit = false;  ///< a deferred constraint: the commit of its transaction fails
  std::string gid;
};

struct Message {
  enum class Kind { kQuery, kExecute, kSync };
  Kind kind = Kind::kQuery;
  std::vector<Statement> statements;
  bool syntax_error = false;  ///< a Query of which nothing runs
};

struct Reply {
  enum class Kind { kComplete, kError, kReady };
  Kind kind = Kind::kComplete;
  std::string text;       ///< tag, or the status
  bool extended = false;  ///< of an error: the server skips to Sync
  bool not_parsed = false;
  Versions committed{};  ///< of ready: the newest version of each table committed by this backend
};

/// What all backends share.
struct Database {
  Versions version{};
  std::map<std::string, TableSet> prepared;
};

/// One backend. `step` runs one statement or one Sync; replies queue up in `out`.
class Backend {
 public:
  explicit Backend(Database& database) : database_(database) {}

  std::deque<Message> in;
  std::deque<Reply> out;

  bool can_step() const { return !in.empty(); }
  void step() {
    Message& message = in.front();
    if (message.kind == Message::Kind::kSync) {
      sync();
    } else if (skipping_) {
      in.pop_front();
    } else if (message.kind == Message::Kind::kExecute) {
      execute(message.statements.front());
    } else {
      query(message);
    }
  }
  /// The client is gone and everything it sent has been run: what is open is rolled back.
  void end() { abort(); }

 private:
  void sync() {
    in.pop_front();
    skipping_ = false;
    if (!block_ && !commit()) error(true);
    skipping_ = false;
    ready();
  }

  void execute(const Statement& statement) {
    std::optional<std::string> tag = run(statement, false);
    if (tag) {
      out.push_back({.kind = Reply::Kind::kComplete, .text = *tag});
    } else {
      error(true);
      skipping_ = true;
    }
    in.pop_front();
  }

  void query(Message& message) {
    if (message.syntax_error) {
      if (block_) failed_ = true;
      error(false, true);
      return finish_query();
    }
    if (message.statements.empty()) {
      if (!block_ && !commit()) error(false);
      return finish_query();
    }
    const bool last = next_ + 1 == message.statements.size();
    implicit_block_ = message.statements.size() > 1;
    std::optional<std::string> tag = run(message.statements[next_], implicit_block_);
    if (tag && last && !block_ && !commit()) tag.reset();
    if (!tag) {
      error(false);
      return finish_query();
    }
    out.push_back({.kind = Reply::Kind::kComplete, .text = *tag});
    ++next_;
    if (last) finish_query();
  }

  void finish_query() {
    next_ = 0;
    in.pop_front();
    ready();
  }

  void ready() {
    const std::string status = !block_ ? "I" : failed_ ? "E" : "T";
    out.push_back({.kind = Reply::Kind::kReady, .text = status, .committed = mine_});
  }

  void error(bool extended, bool not_parsed = false) {
    if (block_)
      failed_ = true;
    else
      abort();
    out.push_back({.kind = Reply::Kind::kError, .extended = extended, .not_parsed = not_parsed});
  }

  void abort() {
    pending_ = 0;
    deferred_failure_ = false;
    block_ = failed_ = false;
    savepoint_.reset();
  }

  bool commit() {
    const bool good = !deferred_failure_;
    if (good) publish(pending_);
    abort();
    return good;
  }

  void publish(TableSet tables) {
    for (int table = 0; table < kTables; ++table) {
      if ((tables >> table & 1U) != 0) mine_[table] = ++database_.version[table];
    }
  }

  /// The tag, or nothing on an error.
  std::optional<std::string> run(const Statement& statement, bool implicit_block) {
    const Op op = statement.op;
    const bool ends = op == Op::kCommit || op == Op::kRollback || op == Op::kPrepare;
    if (failed_ && !ends && op != Op::kRollbackTo) return std::nullopt;
    if (statement.fails && !failed_ && op != Op::kCall) return std::nullopt;
    if (!failed_) deferred_failure_ |= statement.fails_commit;
    switch (op) {
      case Op::kRead:
        return "SELECT 1";
      case Op::kWrite:
      case Op::kOpaque:
        pending_ |= 1U << statement.table;
        return "UPDATE 1";
      case Op::kDdl:
        pending_ |= 1U;
        return "CREATE TABLE";
      case Op::kCall:
        return call(statement, implicit_block);
      default:
        return transaction_command(statement, implicit_block);
    }
  }

  std::optional<std::string> call(const Statement& statement, bool implicit_block) {
    pending_ |= 1U << statement.table;
    if (block_ || implicit_block) {
      if (statement.fails) return std::nullopt;
      return "CALL";
    }
    if (!commit()) return std::nullopt;
    pending_ |= 1U << statement.table;
    if (statement.fails) return std::nullopt;
    return "CALL";
  }

  std::optional<std::string> transaction_command(const Statement& statement, bool implicit_block) {
    switch (statement.op) {
      case Op::kBegin:
        block_ = true;
        return "BEGIN";
      case Op::kCommit:
        if (failed_) return rolled_back();
        if (!commit()) return std::nullopt;
        return "COMMIT";
      case Op::kRollback:
        return rolled_back();
      case Op::kSavepoint:
        if (!block_) return std::nullopt;
        savepoint_ = pending_;
        return "SAVEPOINT";
      case Op::kRollbackTo:
        if (!block_ || !savepoint_) return std::nullopt;
        pending_ = *savepoint_;
        failed_ = false;
        return "ROLLBACK";
      case Op::kPrepare:
        return prepare(statement.gid, implicit_block);
      default:
        return second_phase(statement, implicit_block);
    }
  }

  std::optional<std::string> prepare(const std::string& gid, bool implicit_block) {
    if (failed_) return rolled_back();
    if (!block_ && !implicit_block) return commit() ? std::optional("ROLLBACK") : std::nullopt;
    const bool good = !deferred_failure_ && !database_.prepared.contains(gid);
    if (good) database_.prepared[gid] = pending_;
    abort();
    return good ? std::optional("PREPARE TRANSACTION") : std::nullopt;
  }

  std::optional<std::string> second_phase(const Statement& statement, bool implicit_block) {
    auto found = database_.prepared.find(statement.gid);
    if (block_ || implicit_block || found == database_.prepared.end()) return std::nullopt;
    const TableSet tables = found->second;
    database_.prepared.erase(found);
    if (statement.op == Op::kRollbackPrepared) return "ROLLBACK PREPARED";
    publish(tables);
    return "COMMIT PREPARED";
  }

  std::string rolled_back() {
    abort();
    return "ROLLBACK";
  }

  Database& database_;
  TableSet pending_ = 0;
  std::optional<TableSet> savepoint_;
  bool block_ = false;
  bool implicit_block_ = false;
  bool failed_ = false;
  bool deferred_failure_ = false;
  bool skipping_ = false;
  size_t next_ = 0;  ///< statement of the Query that is running
  Versions mine_{};
};

}  // namespace pgrecall::invalidation::model
