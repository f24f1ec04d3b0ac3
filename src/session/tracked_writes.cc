#include "pgrecall/session/tracked_writes.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/fault.h"
#include "pgrecall/wire/backend.h"
#include "pgrecall/wire/error_fields.h"
#include "session/refusal.h"
#include "session/session_core.h"

namespace pgrecall::session {

using invalidation::DependencyId;
using invalidation::ErrorScope;
using invalidation::StatementWrites;
using invalidation::Verb;
using upstream::Reply;

namespace {

bool is_constraint_error(std::string_view sqlstate) {
  return sqlstate == "23505" || sqlstate == "23503" || sqlstate == "23P01";
}

/// Words that mean the same however names and texts are read.
bool ends_or_begins(Verb verb) {
  switch (verb) {
    case Verb::kBegin:
    case Verb::kCommit:
    case Verb::kRollback:
    case Verb::kSavepoint:
    case Verb::kRelease:
    case Verb::kRollbackTo:
      return true;
    default:
      return false;
  }
}

}  // namespace

TrackedWrites::TrackedWrites(upstream::ServerConnection& server, DatabaseDirectory& databases,
                             invalidation::EpochTable& epochs,
                             invalidation::PreparedTransactions& prepared,
                             upstream::PoolDirectory& pools)
    : server_(server),
      database_(databases.database(server.database())),
      databases_(databases),
      epochs_(epochs),
      pools_(pools),
      definitions_(*database_.slot(database_.definitions_dependency())),
      tracker_(epochs, prepared) {}

TrackedWrites::~TrackedWrites() {
  on_lost();
}

StatementWrites TrackedWrites::note(const Plan& plan, Names names) {
  suspects_catalog_ = suspects_catalog_ || plan.suspects_catalog;
  if (!std::exchange(watches_definitions_, true)) definitions_then_ = definitions_.word();
  defines_ = defines_ || plan.writes.effect == sql::Effect::kDdl;
  cluster_wide_ = cluster_wide_ || plan.writes.effect == sql::Effect::kCluster;
  StatementWrites writes = plan.writes;
  if (writes.effect == sql::Effect::kWrites) {
    write_version_ =
        write_version_ == 0 ? plan.catalog_version : std::min(write_version_, plan.catalog_version);
  }
  const bool commits = writes.verb == Verb::kCommit || writes.verb == Verb::kPrepareTransaction;
  if (auto more = commits ? not_foreseen() : std::vector<DependencyId>(); !more.empty()) {
    // Rule 4: what was written may have reached more than was known when it was planned.
    writes.effect = sql::Effect::kOpaque;
    writes.ids = std::move(more);
  }
  // Names may mean something else: a write may go elsewhere, a read may be of a view that writes.
  const bool writes_elsewhere = names != Names::kKnown && writes.effect == sql::Effect::kWrites;
  if (writes_elsewhere || (names == Names::kHidden && !ends_or_begins(writes.verb))) {
    suspects_catalog_ = true;
    const bool defines = writes.effect == sql::Effect::kDdl;
    if (!defines && writes.effect != sql::Effect::kCluster) writes.effect = sql::Effect::kOpaque;
    writes.ids =
        defines ? database_.definition_dependencies(true) : database_.opaque_dependencies();
  }
  return writes;
}

/// What waited for a definition ran under it: a read may have been of a view that writes.
bool TrackedWrites::met_definitions() const {
  if (!watches_definitions_ || defines_) return false;
  const uint64_t word = definitions_.word();
  return word != definitions_then_ || invalidation::EpochSlot::fenced(word);
}

/// What was written beyond what was planned, as far as that cannot be known.
std::vector<DependencyId> TrackedWrites::not_foreseen() const {
  if (write_version_ != 0 && write_version_ != database_.current_version())
    return database_.opaque_dependencies();
  if (met_definitions()) return {database_.database_dependency()};
  return {};
}

void TrackedWrites::before_query(const std::vector<Plan>& plans, Names names,
                                 stats::WorkerStats& stats) {
  std::vector<StatementWrites> writes;
  writes.reserve(plans.size());
  for (const Plan& plan : plans) {
    writes.push_back(note(plan, names));
    count(plan, writes.back(), stats);
  }
  tracker_.before_query(writes);
}

void TrackedWrites::before_execute(const Plan& plan, Names names, stats::WorkerStats* stats) {
  const StatementWrites writes = note(plan, names);
  if (stats != nullptr) count(plan, writes, *stats);
  tracker_.before_execute(writes);
}

void TrackedWrites::count(const Plan& plan, const StatementWrites& writes,
                          stats::WorkerStats& stats) {
  stats.server_queries.add();
  if (writes.effect == sql::Effect::kNone) return;
  stats.writes.add();
  if (writes.effect == sql::Effect::kOpaque) return stats.opaque_writes.add();
  for (stats::TableStats* table : plan.written_tables) table->writes.add();
}

void TrackedWrites::before_sync() {
  tracker_.before_sync();
}

void TrackedWrites::before_function_call(DatabaseState& database, stats::WorkerStats& stats) {
  suspects_catalog_ = true;
  StatementWrites writes;
  writes.ids = database.opaque_dependencies();
  writes.effect = sql::Effect::kOpaque;
  count({}, writes, stats);
  tracker_.before_function_call(writes);
}

void TrackedWrites::before_own_query() {
  tracker_.before_query({});
}

void TrackedWrites::before_own_sync() {
  tracker_.before_sync();
}

void TrackedWrites::on_message(const upstream::Step& step, const wire::Frame& frame) {
  switch (frame.type) {
    case wire::kCommandComplete:
      if (const auto complete = wire::CommandComplete::decode(frame.payload)) {
        tracker_.on_command_complete(complete->tag);
      }
      return;
    case wire::kErrorResponse:
      return on_error(step, frame.payload);
    case wire::kCopyInResponse:
      // A Sync behind this and before the end of the data is read by the COPY. Behind a Query there
      // is at most the one that we send when its client has gone.
      if (step.reply == Reply::kQuery || !server_.queue().owes_ready()) tracker_.ignore_sync();
      return;
    case wire::kReadyForQuery:
      return on_ready(server_.status());
    default:
      return;
  }
}

void TrackedWrites::on_error(const upstream::Step& step, std::string_view payload) {
  if (step.reply == Reply::kNothing) return;
  const bool query = step.reply == Reply::kQuery || step.reply == Reply::kFunctionCall;
  if (!query)
    tracker_.on_error(ErrorScope::kExtended);
  else
    tracker_.on_error(is_raw_parser_error(payload) ? ErrorScope::kNotParsed : ErrorScope::kQuery);
  if (!fault(Fault::kConstraintForgotten)) advance_constraint(payload);
}

void TrackedWrites::on_ready(char status) {
  // A catalog that may have changed stops counting before the epochs move, so that nobody fills
  // under the new epochs with an analysis of the old catalog.
  if (suspects_catalog_ && status == 'I') {
    suspects_catalog_ = false;
    if (!fault(Fault::kOpaqueIsRead)) database_.suspect();
  }
  if (cluster_wide_ && status == 'I') {
    cluster_wide_ = false;
    for (DatabaseState* database : databases_.all()) database->suspect();
    // ALTER ROLE SET and kin change what a new connection looks like.
    for (upstream::Pool* pool : pools_.all()) pool->retire_if_replaceable();
  }
  if (tracker_.idle()) return;  // a ReadyForQuery that nobody asked for settles nothing
  // A write that waited for a lock may have run under a newer catalog than it was planned with.
  if (status == 'I') {
    if (const auto more = not_foreseen(); !more.empty()) epochs_.advance(more);
    write_version_ = 0;
    watches_definitions_ = false;
    // What was parsed under definitions that were rolled back is parsed anew.
    if (std::exchange(defines_, false)) server_.statements.doubt_all();
  }
  const invalidation::Settled settled = tracker_.on_ready_for_query(status);
  if (settled.catalog_fence == 0) return;
  // A prepared transaction may have changed what all databases share. Nobody hits before the fence
  // has fallen, and it falls after this.
  const auto& ids = settled.catalog_ids;
  if (std::find(ids.begin(), ids.end(), database_.shared_dependency()) != ids.end()) {
    for (DatabaseState* database : databases_.all()) database->suspect();
    for (upstream::Pool* pool : pools_.all()) pool->retire_if_replaceable();
  }
  database_.changed(settled.catalog_fence);
}

void TrackedWrites::on_lost() {
  if (tracker_.idle() && !tracker_.transaction_wrote()) return;
  std::vector<invalidation::FenceToken> fences = tracker_.on_lost();
  // What was in flight may have reached more than was known when it was planned.
  if (const auto more = not_foreseen(); !fences.empty() && !more.empty())
    fences.push_back(epochs_.raise(more));
  if (suspects_catalog_) database_.suspect();
  if (cluster_wide_) {
    for (DatabaseState* database : databases_.all()) database->suspect();
  }
  if (fences.empty()) return;
  database_.port().settle_when_gone(database_, server_.process_id(), server_.backend_start(),
                                    std::move(fences));
}

void TrackedWrites::advance_constraint(std::string_view payload) {
  // Rule 10: the rows that made the statement fail may have come past pgrecall; what is remembered
  // of both sides of the constraint is not believed any more.
  const wire::ErrorFields error = wire::read_error_fields(payload);
  if (!is_constraint_error(error.sqlstate)) return;
  const auto catalog = database_.catalog();
  const sql::Relation* relation =
      catalog ? catalog->relation(catalog->schema(error.schema), error.table) : nullptr;
  std::vector<DependencyId> ids;
  if (relation == nullptr)
    ids.push_back(database_.database_dependency());
  else
    advance_family(*catalog, *relation, ids);
  epochs_.advance(ids);
}

void TrackedWrites::advance_family(const sql::Catalog& catalog, const sql::Relation& relation,
                                   std::vector<DependencyId>& ids) const {
  ids.push_back(database_.relation_dependency(relation.oid));
  for (sql::Oid child : relation.children) ids.push_back(database_.relation_dependency(child));
  for (sql::Oid parent : relation.parents) ids.push_back(database_.relation_dependency(parent));
  for (const sql::ForeignKey& key : relation.referenced_by) {
    ids.push_back(database_.relation_dependency(key.child));
  }
  for (const auto& [oid, other] : catalog.relations) {
    const bool referenced =
        std::any_of(other.referenced_by.begin(), other.referenced_by.end(),
                    [&](const sql::ForeignKey& key) { return key.child == relation.oid; });
    if (referenced) ids.push_back(database_.relation_dependency(oid));
  }
}

}  // namespace pgrecall::session
