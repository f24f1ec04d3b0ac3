// Rules 1 to 5 under random interleavings: several clients write through trackers, readers fill and
// hit, and no hit may ever be older than what was acknowledged (F1) or seen (F2) before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <numeric>
#include <random>

#include "invalidation/server_model.h"
#include "pgrecall/base/fault.h"
#include "pgrecall/invalidation/write_tracker.h"

namespace pgrecall::invalidation {
namespace {

using model::Backend;
using model::Message;
using model::Op;
using model::Reply;
using model::Statement;
using model::Versions;

constexpr int kClients = 3;
constexpr int kReaders = 3;
constexpr int kSteps = 600;

struct Client {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<WriteTracker> tracker;
  int unsynced = 0;
};

/// A backend whose client is gone, and the fences that wait for its end.
struct Orphan {
  std::unique_ptr<Backend> backend;
  std::vector<FenceToken> unknown;
};

struct Entry {
  Stamp stamp;
  int table = 0;
  Versions versions{};  ///< of its table and of the catalog
};

/// A read in flight: stamped, then run, then answered.
struct Read {
  enum class Phase { kIdle, kSent, kRun } phase = Phase::kIdle;
  bool stamped = false;
  Entry entry;
};

class World {
 public:
  explicit World(uint32_t seed) : random_(seed) {
    for (int table = 0; table < model::kTables; ++table) slots_.push_back(table_.slot(id(table)));
    for (Client& client : clients_) connect(client);
  }

  void run() {
    for (int step = 0; step < kSteps; ++step) one_step();
    drain();
  }

  int stale() const { return stale_; }
  int hits() const { return hits_; }
  int refills() const { return refills_; }
  int committed() const {
    return std::accumulate(database_.version.begin(), database_.version.end(), 0);
  }
  size_t open_fences() const { return table_.open_fences(); }

 private:
  static DependencyId id(int table) { return 100 + static_cast<DependencyId>(table); }
  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }
  bool chance(int percent) { return pick(100) < percent; }

  void connect(Client& client) {
    client.backend = std::make_unique<Backend>(database_);
    client.tracker = std::make_unique<WriteTracker>(table_, prepared_);
    client.unsynced = 0;
  }

  void one_step() {
    // Busy and calm spells: in the calm ones answers arrive, fences fall and entries are filled.
    if (chance(4)) busy_ = chance(50);
    Client& client = clients_[static_cast<size_t>(pick(kClients))];
    const int what = pick(100);
    if (what < 12) {
      if (busy_ && client.backend->in.size() < 4) send(client);
    } else if (what < 35) {
      if (client.backend->can_step()) client.backend->step();
    } else if (what < 60) {
      deliver(client);
    } else if (what < 61) {
      if (chance(25)) lose(client);
    } else if (what < 66) {
      step_orphans();
    } else if (what < 70) {
      reread_catalog();
    } else {
      read(reads_[static_cast<size_t>(pick(kReaders))]);
    }
  }

  // ---- Writers ----

  Statement statement() {
    static constexpr std::array kOps = {
        Op::kWrite,      Op::kWrite,   Op::kWrite,          Op::kWrite,
        Op::kRead,       Op::kRead,    Op::kBegin,          Op::kBegin,
        Op::kCommit,     Op::kCommit,  Op::kCommit,         Op::kRollback,
        Op::kOpaque,     Op::kDdl,     Op::kCall,           Op::kSavepoint,
        Op::kRollbackTo, Op::kPrepare, Op::kCommitPrepared, Op::kRollbackPrepared};
    Statement statement;
    statement.op = kOps[static_cast<size_t>(pick(kOps.size()))];
    statement.table = 1 + pick(model::kTables - 1);
    statement.fails = chance(8);
    statement.fails_commit = statement.op == Op::kWrite && chance(5);
    statement.gid = chance(50) ? "one" : "two";
    return statement;
  }

  static StatementWrites writes_of(const Statement& statement) {
    StatementWrites writes;
    writes.gid = statement.gid;
    switch (statement.op) {
      case Op::kWrite:
        writes.ids = {id(statement.table)};
        writes.effect = sql::Effect::kWrites;
        break;
      case Op::kOpaque:
      case Op::kCall:
        writes.ids = {id(0)};
        writes.effect = sql::Effect::kOpaque;
        writes.self_committing = statement.op == Op::kCall;
        break;
      case Op::kDdl:
        writes.ids = {id(0)};
        writes.effect = sql::Effect::kDdl;
        break;
      default:
        writes.verb = verb_of(statement.op);
        if (statement.op == Op::kCommitPrepared) writes.ids = {id(0)};
    }
    return writes;
  }

  static Verb verb_of(Op op) {
    switch (op) {
      case Op::kBegin:
        return Verb::kBegin;
      case Op::kCommit:
        return Verb::kCommit;
      case Op::kRollback:
        return Verb::kRollback;
      case Op::kSavepoint:
        return Verb::kSavepoint;
      case Op::kRollbackTo:
        return Verb::kRollbackTo;
      case Op::kPrepare:
        return Verb::kPrepareTransaction;
      case Op::kCommitPrepared:
        return Verb::kCommitPrepared;
      case Op::kRollbackPrepared:
        return Verb::kRollbackPrepared;
      default:
        return Verb::kNone;
    }
  }

  void send(Client& client) {
    const int what = pick(100);
    if (what < 45) return send_query(client);
    if (what < 75 && client.unsynced < 4) {
      const Statement one = statement();
      ++client.unsynced;
      client.tracker->before_execute(writes_of(one));
      client.backend->in.push_back({.kind = Message::Kind::kExecute, .statements = {one}});
      return;
    }
    client.unsynced = 0;
    client.tracker->before_sync();
    client.backend->in.push_back({.kind = Message::Kind::kSync});
  }

  void send_query(Client& client) {
    Message message;
    for (int count = chance(50) ? 1 : pick(5); count > 0; --count)
      message.statements.push_back(statement());
    message.syntax_error = chance(3);
    std::vector<StatementWrites> writes;
    if (message.syntax_error || chance(10)) {
      // The proxy's parser refused the text: it may hold anything.
      writes.push_back({.ids = {id(0)},
                        .effect = sql::Effect::kOpaque,
                        .self_committing = true,
                        .verb = Verb::kUnknown});
    } else {
      for (const Statement& one : message.statements) writes.push_back(writes_of(one));
    }
    client.unsynced = 0;
    client.tracker->before_query(writes);
    client.backend->in.push_back(std::move(message));
  }

  void deliver(Client& client) {
    if (client.backend->out.empty()) return;
    const Reply reply = client.backend->out.front();
    client.backend->out.pop_front();
    switch (reply.kind) {
      case Reply::Kind::kComplete:
        client.tracker->on_command_complete(reply.text);
        return;
      case Reply::Kind::kError:
        client.tracker->on_error(reply.extended     ? ErrorScope::kExtended
                                 : reply.not_parsed ? ErrorScope::kNotParsed
                                                    : ErrorScope::kQuery);
        return;
      case Reply::Kind::kReady: {
        const Settled settled = client.tracker->on_ready_for_query(reply.text[0]);
        if (settled.catalog_fence != 0) catalog_fences_.push_back(settled.catalog_fence);
        for (size_t i = 0; i < floor_.size(); ++i)
          floor_[i] = std::max(floor_[i], reply.committed[i]);
      }
    }
  }

  void lose(Client& client) {
    std::vector<FenceToken> unknown = client.tracker->on_lost();
    orphans_.push_back({std::move(client.backend), std::move(unknown)});
    connect(client);
  }

  void step_orphans() {
    if (orphans_.empty()) return;
    Orphan& orphan = orphans_[static_cast<size_t>(pick(static_cast<int>(orphans_.size())))];
    if (orphan.backend->can_step()) return orphan.backend->step();
    orphan.backend->end();
    for (FenceToken token : orphan.unknown) table_.settle_committed(token);
    std::swap(orphan, orphans_.back());
    orphans_.pop_back();
  }

  void reread_catalog() {
    for (FenceToken token : catalog_fences_) table_.settle_committed(token);
    catalog_fences_.clear();
  }

  // ---- Readers ----

  void read(Read& read) {
    switch (read.phase) {
      case Read::Phase::kIdle:
        return start(read);
      case Read::Phase::kSent:
        read.entry.versions = database_.version;
        read.phase = Read::Phase::kRun;
        return;
      case Read::Phase::kRun:
        finish(read);
    }
  }

  void start(Read& read) {
    const int table = 1 + pick(model::kTables - 1);
    Entry& cached = cache_[static_cast<size_t>(table)];
    if (EpochTable::holds(cached.stamp)) {
      ++hits_;
      for (const size_t i : {size_t{0}, static_cast<size_t>(table)}) {
        if (cached.versions[i] < floor_[i]) ++stale_;
      }
      return;
    }
    read.entry = Entry{.table = table};
    const std::array<const EpochSlot*, 2> slots = {slots_[static_cast<size_t>(table)], slots_[0]};
    read.stamped = EpochTable::stamp(slots, &read.entry.stamp);
    read.phase = Read::Phase::kSent;
  }

  void finish(Read& read) {
    read.phase = Read::Phase::kIdle;
    const auto table = static_cast<size_t>(read.entry.table);
    for (const size_t i : {size_t{0}, table})
      floor_[i] = std::max(floor_[i], read.entry.versions[i]);
    if (!read.stamped || !EpochTable::may_fill(read.entry.stamp)) return;
    cache_[table] = read.entry;
    ++refills_;
  }

  /// Everything in flight arrives; then no fence may be left.
  void drain() {
    for (Client& client : clients_) {
      client.tracker->before_sync();
      client.backend->in.push_back({.kind = Message::Kind::kSync});
      while (client.backend->can_step()) client.backend->step();
      while (!client.backend->out.empty()) deliver(client);
      lose(client);
    }
    while (!orphans_.empty()) step_orphans();
    reread_catalog();
  }

  std::mt19937 random_;
  model::Database database_;
  EpochTable table_{1000};
  PreparedTransactions prepared_;
  std::vector<const EpochSlot*> slots_;
  std::array<Client, kClients> clients_;
  std::vector<Orphan> orphans_;
  std::vector<FenceToken> catalog_fences_;
  std::array<Read, kReaders> reads_;
  std::array<Entry, model::kTables> cache_;
  Versions floor_{};  ///< acknowledged to a writer or seen by a reader
  bool busy_ = true;
  int stale_ = 0;
  int hits_ = 0;
  int refills_ = 0;
};

constexpr uint32_t kSeeds = 20000;

TEST(FreshnessModel, NoHitIsOlderThanWhatWasAcknowledgedOrSeen) {
  int hits = 0;
  int refills = 0;
  int commits = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed);
    world.run();
    ASSERT_EQ(world.stale(), 0) << "seed " << seed;
    ASSERT_EQ(world.open_fences(), 0U) << "a fence was forgotten, seed " << seed;
    hits += world.hits();
    refills += world.refills();
    commits += world.committed();
  }
  // Without these the promise would be empty.
  EXPECT_GT(hits, static_cast<int>(kSeeds) * 3);
  EXPECT_GT(refills, static_cast<int>(kSeeds) * 3);
  EXPECT_GT(commits, static_cast<int>(kSeeds) * 5);
  std::cout << hits << " hits, " << refills << " fills, " << commits << " commits\n";
}

#ifdef PGRECALL_FAULTS
class BrokenRule : public ::testing::TestWithParam<Fault> {
 protected:
  void TearDown() override { fault_mask = 0; }
};

TEST_P(BrokenRule, IsSeenByTheChecker) {
  fault_mask = 1U << static_cast<unsigned>(GetParam());
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed);
    world.run();
    if (world.stale() > 0) {
      std::cout << fault_name(GetParam()) << ": stale hit at seed " << seed << "\n";
      return;
    }
  }
  FAIL() << fault_name(GetParam()) << " was not noticed in " << kSeeds << " runs";
}

INSTANTIATE_TEST_SUITE_P(FreshnessModel, BrokenRule,
                         ::testing::Values(Fault::kFillIgnoresEpoch, Fault::kFillIgnoresFence,
                                           Fault::kHitIgnoresFence, Fault::kHitIgnoresEpoch,
                                           Fault::kNoRaise, Fault::kSettleAtComplete,
                                           Fault::kNoAdvance, Fault::kAckBeforeAdvance,
                                           Fault::kUnknownFallsAtOnce, Fault::kOpaqueIsRead,
                                           Fault::kDdlIsRead),
                         [](const auto& param) {
                           std::string name(fault_name(param.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });
#endif

}  // namespace
}  // namespace pgrecall::invalidation
