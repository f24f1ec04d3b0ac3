#include "session/plan_builder.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/fault.h"
#include "session/read_words.h"

namespace pgrecall::session {
namespace {

using invalidation::Verb;
using sql::BypassReason;
using sql::Effect;
using sql::StatementKind;

Verb verb_of(const sql::StatementAnalysis& analysis) {
  switch (analysis.kind) {
    case StatementKind::kBegin:
      return Verb::kBegin;
    case StatementKind::kCommit:
      return Verb::kCommit;
    case StatementKind::kRollback:
      return Verb::kRollback;
    case StatementKind::kSavepoint:
      return Verb::kSavepoint;
    case StatementKind::kRelease:
      return Verb::kRelease;
    case StatementKind::kRollbackTo:
      return Verb::kRollbackTo;
    case StatementKind::kPrepareTransaction:
      return Verb::kPrepareTransaction;
    case StatementKind::kCommitPrepared:
      return Verb::kCommitPrepared;
    case StatementKind::kRollbackPrepared:
      return Verb::kRollbackPrepared;
    case StatementKind::kUnparsed:
      // Proved to write nothing, it is one SELECT.
      return analysis.effect == Effect::kNone ? Verb::kNone : Verb::kUnknown;
    default:
      return Verb::kNone;
  }
}

/// The database that a statement needs for itself: of DROP DATABASE, ALTER DATABASE ... RENAME,
/// CREATE DATABASE ... TEMPLATE. Empty for all others. `shape` is canonical: one blank, folded.
std::string named_database(std::string_view shape) {
  std::vector<std::string> words;
  for (size_t i = 0; i < shape.size();) {
    std::string word;
    if (shape[i] == '"') {
      for (++i; i < shape.size() && shape[i] != '"'; ++i) word += shape[i];
      ++i;
    } else {
      while (i < shape.size() &&
             std::string_view(" =(),;").find(shape[i]) == std::string_view::npos) {
        word += shape[i++];
      }
      if (word.empty()) ++i;
    }
    if (!word.empty()) words.push_back(std::move(word));
  }
  if (words.size() < 3 || words[1] != "database") return {};
  if (words[0] == "drop") return words[2] == "if" && words.size() > 4 ? words[4] : words[2];
  const auto after = [&](std::string_view word) {
    const auto at = std::find(words.begin(), words.end(), word);
    return at == words.end() || at + 1 == words.end() ? std::string() : *(at + 1);
  };
  if (words[0] == "alter") return after("rename").empty() ? std::string() : words[2];
  return words[0] == "create" ? after("template") : std::string();
}

/// A path that begins with it makes every CREATE a temporary one.
bool names_temporary_schema(std::string_view path) {
  constexpr std::string_view kName = "pg_temp";
  const auto equal = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return std::search(path.begin(), path.end(), kName.begin(), kName.end(), equal) != path.end();
}

bool is_select(const sql::StatementAnalysis& analysis) {
  return analysis.kind == StatementKind::kSelect && analysis.settings.empty();
}

bool counts_as_read(const sql::StatementAnalysis& analysis, const sql::Canonical& canonical,
                    std::string_view text) {
  switch (analysis.kind) {
    case StatementKind::kFetch:
      return analysis.reason == BypassReason::kCursor;  // not MOVE
    case StatementKind::kExecute:
      return true;  // until it is known of what: `ReadPath::bypassed`
    case StatementKind::kUnparsed:
      return looks_like_read(canonical.ok ? canonical.shape : text);
    default:
      return is_select(analysis);
  }
}

/// Names of cursors and statements are made up one after the other: no shapes of their own.
std::string_view sample_of(const sql::StatementAnalysis& analysis,
                           const sql::Canonical& canonical) {
  if (analysis.kind == StatementKind::kFetch) return "fetch from a cursor";
  if (analysis.kind == StatementKind::kExecute) return "execute";
  return canonical.ok ? std::string_view(canonical.shape) : "(unparsed)";
}

}  // namespace

bool reads_only_tables(const sql::StatementAnalysis& analysis, const sql::Catalog* catalog) {
  return std::all_of(analysis.reads.begin(), analysis.reads.end(), [&](sql::Oid oid) {
    const sql::Relation* relation = catalog == nullptr ? nullptr : catalog->relation(oid);
    return relation != nullptr && (relation->kind == 'r' || relation->kind == 'p') &&
           !relation->row_security;
  });
}

bool changes_meaning(const Plan& plan, bool of_texts) {
  constexpr std::string_view kNames[] = {"role", "row_security", "search_path",
                                         "session_authorization"};
  constexpr std::string_view kTexts[] = {"backslash_quote", "client_encoding",
                                         "standard_conforming_strings"};
  const auto decides = [&](const sql::SettingChange& change) {
    return change.action == sql::SettingChange::Action::kResetAll ||
           std::find(std::begin(kNames), std::end(kNames), change.name) != std::end(kNames) ||
           (of_texts &&
            std::find(std::begin(kTexts), std::end(kTexts), change.name) != std::end(kTexts));
  };
  // What writes nothing and leaves something unknown is set_config of what only the server
  // computes.
  const bool computed = plan.writes.effect == Effect::kNone &&
                        (plan.analysis.session_effects & sql::kSessionUnknown) != 0;
  return computed ||
         std::any_of(plan.analysis.settings.begin(), plan.analysis.settings.end(), decides);
}

bool PlanBuilder::is_of_session(const Plan& plan) {
  const Verb verb = plan.writes.verb;
  const StatementKind kind = plan.analysis.kind;
  return (verb != Verb::kNone && verb != Verb::kUnknown) || kind == StatementKind::kSet ||
         kind == StatementKind::kReset || kind == StatementKind::kDiscard;
}

void PlanBuilder::doubt(Plan& plan, DatabaseState& database) {
  const Effect effect = plan.writes.effect;
  const bool is_unknown = plan.writes.verb == Verb::kUnknown;  // and opaque as it is
  if (is_of_session(plan) || is_unknown || effect == Effect::kCluster) return;
  plan.doubted = true;
  // A definition stays one: others wait for it, and what it defined may be rolled back.
  if (effect != Effect::kDdl) plan.writes.effect = Effect::kOpaque;
  plan.writes.ids = effect == Effect::kDdl ? database.definition_dependencies(true)
                                           : database.opaque_dependencies();
  plan.written_tables.clear();
  plan.suspects_catalog = true;
  plan.analysis.session_effects |= sql::kSessionUnknown;
  if (plan.reason == BypassReason::kNoBypass) plan.reason = BypassReason::kMultiStatement;
}

Plan PlanBuilder::build(sql::StatementAnalysis analysis, const sql::Canonical& canonical,
                        std::string_view text, const SessionContext& context,
                        std::string_view user) {
  Plan plan;
  plan.analysis = std::move(analysis);
  plan.reason = plan.analysis.cacheable ? BypassReason::kNoBypass : plan.analysis.reason;
  plan.counts_as_read = counts_as_read(plan.analysis, canonical, text);
  plan.looks_up = is_select(plan.analysis) && plan.analysis.effect == Effect::kNone;
  plan.catalog_version = current_ && catalog_ != nullptr ? catalog_->version : 0;
  plan.suspects_catalog = plan.analysis.effect == Effect::kOpaque;
  if (plan.analysis.kind == StatementKind::kDdl && names_temporary_schema(context.search_path)) {
    plan.analysis.session_effects |= sql::kSessionTemporary | sql::kSessionUnknown;
  }
  add_writes(plan);
  add_policy(plan, canonical, context, user);
  if (!current_ && plan.reason == BypassReason::kNoBypass) {
    plan.reason = catalog_ == nullptr ? BypassReason::kNoCatalog : BypassReason::kStaleCatalog;
  }
  // A trigger of logins runs a user's code on each new server connection: it may write without any
  // statement of a client, and what it leaves there (temporary tables, settings) is not known.
  if (catalog_ != nullptr && catalog_->has_login_triggers &&
      plan.reason == BypassReason::kNoBypass) {
    plan.reason = BypassReason::kUserFunction;
  }
  if (plan.reason == BypassReason::kNoBypass && plan.counts_as_read && !plan.looks_up)
    plan.reason = BypassReason::kWritesInside;  // a rule has excused what was named as the reason
  if (plan.reason == BypassReason::kNoBypass) add_slots(plan);
  add_fingerprint(plan, canonical);
  if (plan.analysis.effect == Effect::kCluster)
    plan.drops_database = named_database(canonical.shape);
  return plan;
}

void PlanBuilder::add_writes(Plan& plan) {
  const sql::StatementAnalysis& analysis = plan.analysis;
  invalidation::StatementWrites& writes = plan.writes;
  writes.effect = analysis.effect;
  writes.verb = verb_of(analysis);
  writes.self_committing = analysis.self_committing;
  writes.locks = analysis.locks;
  if (writes.verb == Verb::kPrepareTransaction || writes.verb == Verb::kCommitPrepared ||
      writes.verb == Verb::kRollbackPrepared) {
    writes.gid = analysis.name;
  }
  if (!current_ && catalog_ != nullptr) {
    // Rule 9: under an outdated catalog a write may reach more than its analysis says, and a view
    // or a policy may have been given a function that writes.
    const bool hidden =
        analysis.kind == StatementKind::kUnparsed ||
        (analysis.kind == StatementKind::kSelect && !reads_only_tables(analysis, catalog_));
    if (analysis.effect == Effect::kWrites || hidden) writes.effect = Effect::kOpaque;
    if (hidden) plan.analysis.session_effects |= sql::kSessionUnknown;
  }
  switch (writes.effect) {
    case Effect::kNone:
      return;
    case Effect::kWrites:
      for (sql::Oid relation : analysis.writes) {
        writes.ids.push_back(database_.relation_dependency(relation));
      }
      add_written_tables(plan);
      return;
    case Effect::kOpaque:
      writes.ids = database_.opaque_dependencies();
      return;
    case Effect::kDdl: {
      const bool runs_code = (analysis.session_effects & sql::kSessionUnknown) != 0;
      writes.ids = database_.definition_dependencies(runs_code);
      return;
    }
    case Effect::kCluster:
      writes.ids.push_back(database_.shared_dependency());
      return;
  }
}

void PlanBuilder::add_written_tables(Plan& plan) {
  std::vector<stats::TableStats*>& tables = plan.written_tables;
  for (const auto& name : names(plan.analysis.writes)) {
    const std::string full = name.schema + "." + name.name;
    tables.push_back(&stats_.table(shared_.stats.intern_table(database_.name(), full)));
  }
  std::sort(tables.begin(), tables.end());  // "other" stands for several
  tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
}

std::vector<policy::RelationName> PlanBuilder::names(const std::vector<sql::Oid>& relations) const {
  std::vector<policy::RelationName> names;
  if (catalog_ == nullptr) return names;
  for (sql::Oid oid : relations) {
    const sql::Relation* relation = catalog_->relation(oid);
    if (relation == nullptr) continue;
    const auto schema = catalog_->schemas.find(relation->schema);
    names.push_back(
        {schema == catalog_->schemas.end() ? std::string() : schema->second, relation->name});
  }
  return names;
}

void PlanBuilder::add_policy(Plan& plan, const sql::Canonical& canonical,
                             const SessionContext& context, std::string_view user) {
  if (catalog_ == nullptr || plan.analysis.kind != StatementKind::kSelect) return;
  policy::RuleInput input;
  input.named = names(plan.analysis.named);
  input.reads = names(plan.analysis.reads);
  input.shape = canonical.shape;
  input.user = user;
  input.database = database_.name();
  input.application_name = context.application_name;
  plan.policy = shared_.rules->policy_for(input);
  if (plan.reason == BypassReason::kUnloggedTable && plan.policy.ttl_for_all) {
    plan.reason = BypassReason::kNoBypass;
  }
  if (plan.reason == BypassReason::kNoBypass && !plan.policy.cache) {
    plan.reason = BypassReason::kRule;
  }
}

void PlanBuilder::add_slots(Plan& plan) {
  plan.slots.push_back(database_.slot(database_.shared_dependency()));
  plan.slots.push_back(database_.slot(database_.database_dependency()));
  const auto& kept = plan.policy.ttl_only ? plan.analysis.policy_reads : plan.analysis.reads;
  for (sql::Oid relation : kept) {
    plan.slots.push_back(database_.slot(database_.relation_dependency(relation)));
  }
}

void PlanBuilder::add_fingerprint(Plan& plan, const sql::Canonical& canonical) {
  if (!plan.counts_as_read) return;
  std::vector<uint32_t> tables;
  for (const auto& name : names(plan.analysis.named)) {
    tables.push_back(shared_.stats.intern_table(database_.name(), name.schema + "." + name.name));
  }
  plan.fingerprint = shared_.stats.intern_fingerprint(database_.name(),
                                                      sample_of(plan.analysis, canonical), tables);
  plan.fingerprint_stats = &stats_.fingerprint(plan.fingerprint);
}

}  // namespace pgrecall::session
