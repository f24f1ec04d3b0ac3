#include "pgrecall/invalidation/write_tracker.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/fault.h"

namespace pgrecall::invalidation {
namespace {

using Ids = std::vector<DependencyId>;

void unite(Ids& into, const Ids& more) {
  if (more.empty()) return;
  into.insert(into.end(), more.begin(), more.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

void append(std::vector<FenceToken>& tokens, FenceToken token) {
  if (token != 0) tokens.push_back(token);
}

bool is_catalog(sql::Effect effect) {
  return effect == sql::Effect::kDdl || effect == sql::Effect::kCluster;
}

bool reads_as_nothing(sql::Effect effect) {
  return (effect == sql::Effect::kOpaque && fault(Fault::kOpaqueIsRead)) ||
         (is_catalog(effect) && fault(Fault::kDdlIsRead));
}

/// Can commit everything that the open transaction wrote so far.
bool can_commit(Verb verb) {
  return verb == Verb::kCommit || verb == Verb::kPrepareTransaction || verb == Verb::kUnknown;
}

bool is_verb_tag(std::string_view tag) {
  return tag == "BEGIN" || tag == "COMMIT" || tag == "ROLLBACK" || tag == "SAVEPOINT" ||
         tag == "RELEASE" || tag == "START TRANSACTION" || tag == "PREPARE TRANSACTION" ||
         tag == "COMMIT PREPARED" || tag == "ROLLBACK PREPARED";
}

bool can_answer(Verb verb, std::string_view tag) {
  switch (verb) {
    case Verb::kBegin:
      return tag == "BEGIN" || tag == "START TRANSACTION";
    case Verb::kCommit:
      return tag == "COMMIT" || tag == "ROLLBACK";
    case Verb::kRollback:
    case Verb::kRollbackTo:
      return tag == "ROLLBACK";
    case Verb::kSavepoint:
      return tag == "SAVEPOINT";
    case Verb::kRelease:
      return tag == "RELEASE";
    case Verb::kPrepareTransaction:
      return tag == "PREPARE TRANSACTION" || tag == "ROLLBACK";
    case Verb::kCommitPrepared:
      return tag == "COMMIT PREPARED";
    case Verb::kRollbackPrepared:
      return tag == "ROLLBACK PREPARED";
    case Verb::kNone:
    case Verb::kUnknown:
      return false;
  }
  return false;
}

}  // namespace

WriteTracker::WriteTracker(EpochTable& table, PreparedTransactions& prepared)
    : table_(table), prepared_(prepared) {}

// ---- Sending (rule 4) ----

void WriteTracker::before_query(std::span<const StatementWrites> statements) {
  flush_deferred();
  if (!skipping_) {
    Unit& unit = sending();
    unit.query_start = unit.entries.size();
  }
  for (const StatementWrites& statement : statements) add(statement);
  end_unit(End::kOther);
}

void WriteTracker::before_execute(const StatementWrites& statement) {
  flush_deferred();
  add(statement);
}

void WriteTracker::before_sync() {
  flush_deferred();
  end_unit(End::kSync);
}

void WriteTracker::before_function_call(const StatementWrites& statement) {
  before_query({&statement, 1});
}

WriteTracker::Unit& WriteTracker::sending() {
  if (units_.empty() || units_.back().end != End::kOpen) units_.emplace_back();
  return units_.back();
}

void WriteTracker::add(const StatementWrites& statement) {
  if (skipping_ || reads_as_nothing(statement.effect)) return;
  Entry entry;
  entry.verb = statement.verb;
  entry.gid = statement.gid;
  entry.self_committing = statement.self_committing || statement.verb == Verb::kCommitPrepared;
  entry.catalog = is_catalog(statement.effect) || statement.verb == Verb::kCommitPrepared;
  unite(entry.ids, statement.ids);
  if (entry.verb == Verb::kCommitPrepared || entry.verb == Verb::kRollbackPrepared) {
    PreparedTransactions::Found found = prepared_.find(entry.gid);
    entry.parked = found.last;
    if (found.last != 0) entry.ids.clear();
    unite(entry.ids, found.ids);
    if (entry.verb == Verb::kRollbackPrepared) entry.ids.clear();
  }
  entry.touches = !entry.ids.empty() || statement.locks || statement.effect > sql::Effect::kNone;
  if (repeats_last(entry)) return;
  raise_for(entry);
  sending_in_block_ = after(sending_in_block_, entry.verb);
  if (entry.touches || entry.self_committing || entry.verb != Verb::kNone)
    sending().entries.push_back(std::move(entry));
}

/// A long pipeline of one statement is one entry and one fence: the last entry, of the same unit
/// and not yet accounted for, already stands for it.
bool WriteTracker::repeats_last(const Entry& entry) {
  const Unit& unit = sending();
  if (entry.verb != Verb::kNone || unit.entries.size() == unit.passed) return false;
  const Entry& last = unit.entries.back();
  return last.verb == Verb::kNone && last.ids == entry.ids && last.catalog == entry.catalog &&
         last.self_committing == entry.self_committing && last.touches == entry.touches &&
         (last.token != 0 || entry.ids.empty() || sending_in_block_ == InBlock::kYes);
}

void WriteTracker::raise_for(Entry& entry) {
  if (can_commit(entry.verb)) {
    Ids all = everything_unsettled();
    unite(all, entry.ids);
    if (entry.verb == Verb::kPrepareTransaction) entry.parked = prepared_.park(entry.gid, all);
    if (!all.empty()) entry.token = table_.raise(all);
    return;
  }
  // Inside an explicit transaction nothing commits before a command that says so, but DDL is raised
  // at once (rule 9).
  const bool may_commit_alone = sending_in_block_ != InBlock::kYes;
  if (!entry.ids.empty() && (may_commit_alone || entry.catalog))
    entry.token = table_.raise(entry.ids);
}

void WriteTracker::end_unit(End end) {
  Unit& unit = sending();
  if (skipping_ && end != End::kSync) return;  // the server discards this message
  skipping_ = false;
  unit.end = end;
}

/// BEGIN may fail before it opens a block (a late cancel is enough), so what follows it in the same
/// flight may still be autocommit.
WriteTracker::InBlock WriteTracker::after(InBlock state, Verb verb) {
  switch (verb) {
    case Verb::kBegin:
      return state == InBlock::kNo ? InBlock::kMaybe : state;
    case Verb::kCommit:
    case Verb::kRollback:
    case Verb::kPrepareTransaction:
      return state == InBlock::kNo ? state : InBlock::kMaybe;
    case Verb::kUnknown:
      return InBlock::kMaybe;
    default:
      return state;
  }
}

void WriteTracker::reconsider_block(char status) {
  sending_in_block_ = status == 'I' ? InBlock::kNo : InBlock::kYes;
  for (const Unit& unit : units_) {
    for (const Entry& entry : unit.entries)
      sending_in_block_ = after(sending_in_block_, entry.verb);
  }
}

std::vector<DependencyId> WriteTracker::everything_unsettled() const {
  Ids all = open_.ids;
  for (const Unit& unit : units_) {
    for (const Entry& entry : unit.entries) unite(all, entry.ids);
  }
  return all;
}

// ---- Replies (rule 5) ----

void WriteTracker::ignore_sync() {
  if (!units_.empty() && units_.back().end == End::kSync) units_.back().end = End::kOpen;
}

void WriteTracker::on_command_complete(std::string_view tag) {
  if (units_.empty()) return;
  Unit& unit = units_.front();
  unit.completed = true;
  if (fault(Fault::kSettleAtComplete)) settle_at_complete(unit);
  if (is_verb_tag(tag) && !unit.mismatched) on_verb_tag(unit, tag);
}

/// Transaction commands and tags of this unit cannot be matched: anything may have committed.
bool WriteTracker::unknown(const Unit& unit) {
  return unit.mismatched ||
         std::any_of(unit.entries.begin(), unit.entries.end(),
                     [](const Entry& entry) { return entry.verb == Verb::kUnknown; });
}

/// Tags arrive in the order of the statements, and only transaction commands produce these tags, so
/// the next one that has not answered yet is the one that answers now.
void WriteTracker::on_verb_tag(Unit& unit, std::string_view tag) {
  size_t index = unit.passed;
  while (index < unit.entries.size() && unit.entries[index].verb == Verb::kNone) ++index;
  if (index == unit.entries.size() || !can_answer(unit.entries[index].verb, tag)) {
    unit.mismatched = true;
    return;
  }
  pass_until(unit, index);
  Entry& entry = unit.entries[index];
  unit.passed = index + 1;
  append(unit.fall, std::exchange(entry.token, 0));
  apply_verb(unit, entry, tag);
}

void WriteTracker::apply_verb(Unit& unit, Entry& entry, std::string_view tag) {
  switch (entry.verb) {
    case Verb::kBegin:
      in_block_ = true;
      return;
    case Verb::kPrepareTransaction:
      // Prepared: nothing of it is visible until COMMIT PREPARED raises what was parked. Outside an
      // explicit transaction the tag says ROLLBACK although the implicit one commits.
      if (tag == "ROLLBACK") prepared_.unpark(entry.gid, entry.parked);
      if (tag == "ROLLBACK" && !in_block_) note_committed(unit);
      end_open(unit);
      return;
    case Verb::kCommit:
      if (tag == "COMMIT") note_committed(unit);
      end_open(unit);
      return;
    case Verb::kRollback:
      end_open(unit);
      return;
    case Verb::kCommitPrepared:
      unite(unit.committed, entry.ids);
      unite(unit.catalog_committed, entry.ids);
      prepared_.forget(entry.gid, entry.parked);
      return;
    case Verb::kRollbackPrepared:
      prepared_.forget(entry.gid, entry.parked);
      return;
    default:
      return;
  }
}

/// Accounts for the statements before `index` as executed in the open transaction.
void WriteTracker::pass_until(Unit& unit, size_t index) {
  for (; unit.passed < index; ++unit.passed) {
    Entry& entry = unit.entries[unit.passed];
    unite(open_.ids, entry.ids);
    open_.touched |= entry.touches;
    if (entry.catalog) unite(open_.catalog_ids, entry.ids);
    append(entry.catalog ? open_.held : unit.fall, std::exchange(entry.token, 0));
    // Outside an explicit transaction such a statement may have committed itself and what was
    // executed before it, whatever happened then.
    if (entry.self_committing && !in_block_) note_committed(unit);
  }
}

void WriteTracker::note_committed(Unit& unit) {
  unite(unit.committed, open_.ids);
  unite(unit.catalog_committed, open_.catalog_ids);
}

void WriteTracker::end_open(Unit& unit) {
  unit.fall.insert(unit.fall.end(), open_.held.begin(), open_.held.end());
  open_ = Open{};
  in_block_ = false;  // AND CHAIN opens a new one: not surely
}

void WriteTracker::on_error(ErrorScope scope) {
  if (units_.empty()) {
    if (scope != ErrorScope::kExtended) return;
    sending();  // a Parse, Bind or Describe failed: what follows it is discarded all the same
  }
  Unit& unit = units_.front();
  unit.failed = true;
  if (scope == ErrorScope::kExtended) {
    skip_to_sync();
  } else if (scope == ErrorScope::kNotParsed && !unit.completed) {
    // Believed only where our own parser refused the text too, and before anything of it completed:
    // a procedure that committed, or a function's body, may fail with the same error.
    for (size_t i = unit.query_start; i < unit.entries.size(); ++i) {
      if (unit.entries[i].verb == Verb::kUnknown) skip_entry(unit.entries[i]);
    }
  }
}

/// Proved not to have been executed; only its fence has still to fall.
void WriteTracker::skip_entry(Entry& entry) {
  if (entry.verb == Verb::kPrepareTransaction) prepared_.unpark(entry.gid, entry.parked);
  const FenceToken token = entry.token;
  entry = Entry{};
  entry.token = token;
}

/// The server discards everything up to the next Sync, Queries too: one ReadyForQuery answers all.
void WriteTracker::skip_to_sync() {
  if (units_.front().end == End::kSync) return;
  Unit unit = std::move(units_.front());
  units_.pop_front();
  for (size_t i = unit.query_start; unit.end == End::kOther && i < unit.entries.size(); ++i)
    skip_entry(unit.entries[i]);
  while (unit.end != End::kSync && !units_.empty()) {
    for (Entry& entry : units_.front().entries) {
      skip_entry(entry);
      unit.entries.push_back(std::move(entry));
    }
    unit.end = units_.front().end;
    units_.pop_front();
  }
  if (unit.end != End::kSync) unit.end = End::kOpen;
  skipping_ = unit.end == End::kOpen;
  units_.push_front(std::move(unit));
}

Settled WriteTracker::on_ready_for_query(char status) {
  flush_deferred();
  if (units_.empty() || units_.front().end == End::kOpen) return {};
  Unit unit = std::move(units_.front());
  units_.pop_front();
  finish_unit(unit, status);
  reconsider_block(status);
  return settle(unit);
}

void WriteTracker::finish_unit(Unit& unit, char status) {
  const bool any_outcome = unknown(unit);
  for (size_t i = unit.passed; i < unit.entries.size(); ++i) {
    Entry& entry = unit.entries[i];
    // Failed without a tag and nothing open: this PREPARE TRANSACTION prepared nothing.
    if (entry.verb == Verb::kPrepareTransaction && unit.failed && status == 'I' && !any_outcome)
      prepared_.unpark(entry.gid, entry.parked);
  }
  pass_until(unit, unit.entries.size());
  if (any_outcome || (status == 'I' && !unit.failed)) note_committed(unit);
  if (status == 'I') end_open(unit);
  in_block_ = status != 'I';
}

Settled WriteTracker::settle(const Unit& unit) {
  Settled settled;
  settled.committed_writes = !unit.committed.empty();
  if (!unit.catalog_committed.empty()) settled.catalog_fence = table_.raise(unit.catalog_committed);
  settled.catalog_ids = unit.catalog_committed;
  if (fault(Fault::kSettleAtComplete)) {
    table_.settle(unit.fall, {});
  } else if (fault(Fault::kAckBeforeAdvance)) {
    table_.settle(unit.fall, {});
    deferred_ = unit.committed;
  } else if (!unit.fall.empty() || !unit.committed.empty()) {
    table_.settle(unit.fall, unit.committed);
  }
  return settled;
}

/// The broken rule: takes CommandComplete for the commit.
void WriteTracker::settle_at_complete(Unit& unit) {
  Ids ids = open_.ids;
  std::vector<FenceToken> tokens = std::exchange(unit.fall, {});
  for (Entry& entry : unit.entries) {
    unite(ids, entry.ids);
    append(tokens, std::exchange(entry.token, 0));
  }
  table_.settle(tokens, ids);
}

void WriteTracker::flush_deferred() {
  if (!deferred_.empty()) table_.advance(std::exchange(deferred_, {}));
}

// ---- The connection is gone ----

std::vector<FenceToken> WriteTracker::on_lost() {
  flush_deferred();
  // Held for a transaction whose commit was never sent, else a fence in flight covers it too.
  table_.settle(open_.held, {});
  std::vector<FenceToken> unknown;
  for (Unit& unit : units_) {
    unknown.insert(unknown.end(), unit.fall.begin(), unit.fall.end());
    for (Entry& entry : unit.entries) append(unknown, entry.token);
  }
  units_.clear();
  open_ = Open{};
  in_block_ = skipping_ = false;
  sending_in_block_ = InBlock::kNo;
  if (fault(Fault::kUnknownFallsAtOnce)) {
    table_.settle(unknown, {});
    unknown.clear();
  }
  return unknown;
}

bool WriteTracker::transaction_wrote() const {
  if (open_.touched) return true;
  return std::any_of(units_.begin(), units_.end(), [](const Unit& unit) {
    return std::any_of(unit.entries.begin(), unit.entries.end(),
                       [](const Entry& entry) { return entry.touches; });
  });
}

}  // namespace pgrecall::invalidation
