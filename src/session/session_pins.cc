// What opaque code may have left with a client: pins, statements not proved yet, names in doubt.
#include <algorithm>
#include <utility>

#include "session/plan_builder.h"
#include "session/prepared_statements.h"
#include "session/session_core.h"

namespace pgrecall::session {
namespace {

constexpr size_t kUnprovedMax = 64;

/// A query that changes rows at most: no setting, no object of the session.
bool leaves_nothing(const Plan& plan) {
  switch (plan.analysis.kind) {
    case sql::StatementKind::kSelect:
    case sql::StatementKind::kInsert:
    case sql::StatementKind::kUpdate:
    case sql::StatementKind::kDelete:
    case sql::StatementKind::kMerge:
      return plan.analysis.settings.empty();
    default:
      return false;
  }
}

}  // namespace

Names SessionCore::names() const {
  if (outdated() && !ran_opaque_code()) return Names::kHidden;
  if (ran_opaque_code()) {
    const auto catalog = database->catalog();
    if (!catalog || names_known_in != catalog->version) return Names::kHidden;
  }
  return (pins & sql::kSessionTemporary) != 0 ? Names::kTemporary : Names::kKnown;
}

bool SessionCore::fetches_portal(const Plan& plan) const {
  return plan.analysis.kind == sql::StatementKind::kFetch &&
         prepared->portal(plan.analysis.name) != nullptr;
}

bool SessionCore::prepares_code(const Plan& plan, const std::shared_ptr<TextEntry>& entry) {
  if (plan.analysis.kind != sql::StatementKind::kPrepare) return false;
  const auto whole = alone(plan, entry);
  const std::string_view statement = whole ? statement_after_as(whole->text) : "";
  if (statement.empty()) return true;
  const auto inner = worker.memo.text(statement);
  const auto& plans = worker.memo.plans(*inner, *context, *database, user)->plans;
  return (plans.front().analysis.session_effects & sql::kSessionUnknown) != 0;
}

bool SessionCore::ends_meaning(const Plan& plan) const {
  switch (plan.writes.verb) {
    case invalidation::Verb::kCommit:
    case invalidation::Verb::kRollback:
    case invalidation::Verb::kRollbackTo:
    case invalidation::Verb::kPrepareTransaction:
      return settings.end_changes_meaning();
    default:
      return (plan.analysis.session_effects & sql::kSessionDiscardAll) != 0 &&
             !settings.values().client.empty();
  }
}

void SessionCore::doubt_names() {
  names_known_in = 0;
  review_due = true;
}

void SessionCore::pin_as_unknown() {
  doubt_names();
  pins |= sql::kSessionUnknown;
  pins &= ~kUnproved;
  unproved.clear();
}

void SessionCore::note_unproved(const Plan& plan, std::shared_ptr<TextEntry> entry) {
  doubt_names();
  if ((pins & sql::kSessionUnknown) != 0) return;
  const sql::BypassReason reason = plan.analysis.reason;
  // Only what the catalog did not know yet can become known; what it knew to be opaque stays so.
  bool inner = false;
  bool may_become_known = reason == sql::BypassReason::kUnknownRelation ||
                          reason == sql::BypassReason::kUnknownFunction ||
                          reason == sql::BypassReason::kUnknownType || plan.catalog_version == 0;
  if (entry && plan.analysis.kind == sql::StatementKind::kExecute) {
    entry = executed(plan, *entry);
    may_become_known = inner = true;
  } else if (entry && (plan.analysis.kind == sql::StatementKind::kPrepare ||
                       (plan.analysis.session_effects & sql::kSessionTemporary) != 0)) {
    const std::string_view query = statement_after_as(entry->text);
    entry = query.empty() ? nullptr : worker.memo.text(query);
    may_become_known = inner = true;
  }
  // Another look at its text alone would not show why it was doubted.
  if (plan.doubted && !inner) may_become_known = false;
  if (!entry || unproved.size() >= kUnprovedMax || !may_become_known) return pin_as_unknown();
  pins |= kUnproved;
  Unproved item{std::move(entry), context, plan.catalog_version, objects.plain(), false, inner};
  if (std::find(unproved.begin(), unproved.end(), item) == unproved.end()) {
    unproved.push_back(std::move(item));
  }
}

std::shared_ptr<TextEntry> SessionCore::alone(const Plan& plan,
                                              const std::shared_ptr<TextEntry>& entry) {
  if (!entry || !entry->canonical.multi_statement) return entry;
  const sql::StatementAnalysis& analysis = plan.analysis;
  const std::string_view text = entry->text;
  if (analysis.location >= text.size() || analysis.length == 0) return entry;
  return worker.memo.text(text.substr(analysis.location, analysis.length));
}

void SessionCore::note_view(const TextEntry& create) {
  const std::string_view query = statement_after_as(create.text);
  if (query.empty()) return pin_as_unknown();
  // Once and for all: later it is read by its name, whatever has become of what it names.
  const auto entry = worker.memo.text(query);
  const auto& plans = worker.memo.plans(*entry, *context, *database, user)->plans;
  const Plan& plan = plans.front();
  const bool plain = plans.size() == 1 && plan.catalog_version != 0 &&
                     reads_only_tables(plan.analysis, database->catalog().get()) &&
                     leaves_nothing(plan) && plan.analysis.session_effects == 0;
  if (!plain) pin_as_unknown();
}

std::shared_ptr<TextEntry> SessionCore::executed(const Plan& plan, const TextEntry& execute) {
  if (!has_constant_arguments(execute)) return nullptr;
  const auto statement = prepared->find(plan.analysis.name);
  if (statement && (statement->scanned_specially() || statement->has_user_types())) return nullptr;
  const auto entry = statement ? statement->entry : objects.prepared(plan.analysis.name);
  if (!entry) return nullptr;
  for (const Plan& inner : worker.memo.plans(*entry, *context, *database, user)->plans) {
    pins |= inner.analysis.session_effects & sql::kSessionAdvisoryLock;
  }
  return entry;
}

bool SessionCore::executes_read(const std::string& name, std::shared_ptr<const PlanSet>* plans) {
  const auto statement = prepared->find(name);
  const auto entry = statement ? statement->entry : objects.prepared(name);
  if (!entry) return objects.may_read(name);
  *plans = worker.memo.plans(*entry, *context, *database, user);
  return (*plans)->plans.front().counts_as_read;
}

bool SessionCore::is_harmless(const Unproved& statement) {
  const auto harmless = [&](TextEntry& entry, const SessionContext& then) {
    const auto& plans = worker.memo.plans(entry, then, *database, user)->plans;
    return std::all_of(plans.begin(), plans.end(), [&](const Plan& plan) {
      const uint32_t effects = plan.analysis.session_effects;
      if (&entry != statement.entry.get() && plan.analysis.kind == sql::StatementKind::kUnparsed) {
        return false;  // it names temporary tables, which may be types of its casts
      }
      // A lock that only a newer catalog shows: the server is asked whether it is still there.
      review_due = review_due || (effects & sql::kSessionAdvisoryLock) != 0;
      pins |= effects & sql::kSessionAdvisoryLock;
      if (!statement.inner) return (effects & sql::kSessionUnknown) == 0;
      return leaves_nothing(plan) && (effects & ~uint32_t{sql::kSessionAdvisoryLock}) == 0;
    });
  };
  TextEntry& entry = *statement.entry;
  if (harmless(entry, *statement.context)) return true;
  const bool reads = !entry.plans->multi() &&
                     entry.plans->plans.front().analysis.kind == sql::StatementKind::kSelect;
  if (statement.plain.empty() || !reads) return false;
  // Temporary names come first unless the path says otherwise.
  if (statement.context->search_path.find("pg_temp") != std::string::npos) return false;
  const auto rest = worker.memo.text(without_relations(entry.text, statement.plain));
  return harmless(*rest, *statement.context);
}

void SessionCore::prove_again() {
  if ((pins & kUnproved) == 0 || status != 'I' || owed()) return;
  const uint64_t version = database->current_version();
  if (version == 0) return;
  std::vector<Unproved> left;
  for (Unproved& statement : std::exchange(unproved, {})) {
    const bool newer = version != statement.version;
    if ((!newer && statement.tried) || !is_harmless(statement)) {
      if (newer) return pin_as_unknown();
      statement.tried = true;
      left.push_back(std::move(statement));
    }
  }
  unproved = std::move(left);
  if (unproved.empty()) pins &= ~kUnproved;
}

}  // namespace pgrecall::session
