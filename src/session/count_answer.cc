#include "session/count_answer.h"

#include <array>
#include <optional>
#include <vector>

#include "pgrecall/wire/builder.h"

namespace pgrecall::session {
namespace {

constexpr uint32_t kInt8Oid = 20;

/// Of the whole read set, whatever a rule waives: an estimate is of its own age, not older than the
/// last write. False while one is not settled.
bool stamp_of(DatabaseState& database, const Plan& plan, invalidation::Stamp* stamp) {
  std::vector<const invalidation::EpochSlot*> slots;
  for (const auto id : database.opaque_dependencies()) slots.push_back(database.slot(id));
  for (const sql::Oid relation : plan.analysis.reads) {
    slots.push_back(database.slot(database.relation_dependency(relation)));
  }
  return invalidation::EpochTable::stamp(slots, stamp);
}

}  // namespace

bool estimated_count(SessionCore& core, const Plan& plan, int64_t* rows) {
  if (plan.policy.count != config::CountMode::kEstimate) return false;
  if (plan.analysis.plain_count.relation == sql::kInvalidOid) return false;
  if (core.worker.shared.mode.load() != config::CacheMode::kOn || core.status == 'E') return false;
  if (core.snapshot_isolation || !core.context->read_committed || core.pins != 0) return false;
  if (core.context->cache_off || core.outdated()) return false;
  if (core.server != nullptr && (core.owed() || core.writes()->transaction_wrote())) return false;
  if (plan.reason == sql::BypassReason::kStaleCatalog) return false;
  const auto catalog = core.database->catalog();
  if (!catalog) return false;
  invalidation::Stamp now;
  if (!stamp_of(*core.database, plan, &now)) return false;
  return core.worker.shared.counts.estimate(*core.database, plan.analysis.plain_count.relation,
                                            catalog->role(core.context->role), plan.policy, now,
                                            rows);
}

void append_count_description(std::string& out, std::string_view column, int16_t format) {
  const wire::ColumnSpec columns[] = {{column, kInt8Oid, 8, format}};
  wire::append_row_description(out, columns);
}

void append_count(std::string& out, std::string_view column, int64_t rows, int16_t format,
                  bool description) {
  if (description) append_count_description(out, column, format);
  std::string value = std::to_string(rows);
  if (format == wire::kBinaryFormat) {
    value.clear();
    for (int shift = 56; shift >= 0; shift -= 8) {
      value.push_back(static_cast<char>(static_cast<uint64_t>(rows) >> shift));
    }
  }
  const std::optional<std::string_view> values[] = {std::string_view(value)};
  wire::append_data_row(out, values);
  wire::append_command_complete(out, "SELECT 1");
}

}  // namespace pgrecall::session
