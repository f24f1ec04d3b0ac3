// PlanBuilder: from an analysis to a Plan: dependencies, write set, rules, statistics.
#pragma once

#include <string_view>

#include "pgrecall/session/statement_memo.h"

namespace pgrecall::session {

/// Short-lived. `current` is false while the catalog may be outdated: then reads are bypassed and
/// writes are opaque.
/// After it, names may mean something else than in the context it began in; in a unit of the
/// extended protocol texts, too (those of one Query have been read before it begins).
bool changes_meaning(const Plan& plan, bool of_texts);

/// No views, no policies: what is read runs nothing. False without a catalog.
bool reads_only_tables(const sql::StatementAnalysis& analysis, const sql::Catalog* catalog);

class PlanBuilder {
 public:
  PlanBuilder(Shared& shared, stats::WorkerStats& stats, DatabaseState& database,
              const sql::Catalog* catalog, bool current)
      : shared_(shared), stats_(stats), database_(database), catalog_(catalog), current_(current) {}

  /// Takes back what is said of a statement that comes, in one text or unit, after one that
  /// `changes_meaning`: it may write anything.
  static void doubt(Plan& plan, DatabaseState& database);
  /// Transactions and settings: such words mean the same whatever names mean.
  static bool is_of_session(const Plan& plan);

  /// `text`: all of it, also of several statements.
  Plan build(sql::StatementAnalysis analysis, const sql::Canonical& canonical,
             std::string_view text, const SessionContext& context, std::string_view user);

 private:
  void add_writes(Plan& plan);
  void add_written_tables(Plan& plan);
  void add_policy(Plan& plan, const sql::Canonical& canonical, const SessionContext& context,
                  std::string_view user);
  void add_slots(Plan& plan);
  void add_fingerprint(Plan& plan, const sql::Canonical& canonical);
  std::vector<policy::RelationName> names(const std::vector<sql::Oid>& relations) const;

  Shared& shared_;
  stats::WorkerStats& stats_;
  DatabaseState& database_;
  const sql::Catalog* catalog_;
  bool current_;
};

}  // namespace pgrecall::session
