#include "pgrecall/policy/count_estimate.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace pgrecall::policy {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(CountRefusal::kCount)> kNames = {
    "none",         "missing", "not_a_table",    "temporary",       "row_security", "inheritance",
    "no_privilege", "locked",  "never_analyzed", "statistics_lost", "few_rows",     "inaccurate"};

/// Rows of one source and how many of them may be wrong.
struct Part {
  double rows = 0;
  double uncertain = 0;
};

CountRefusal refuse_relation(const CountFacts& facts) {
  if (!facts.exists) return CountRefusal::kMissing;
  if (facts.kind != 'r' && facts.kind != 'p') return CountRefusal::kNotATable;
  if (facts.persistence == 't') return CountRefusal::kTemporary;
  if (facts.row_security) return CountRefusal::kRowSecurity;
  if (facts.has_children) return CountRefusal::kInheritance;
  if (!facts.may_select) return CountRefusal::kNoPrivilege;
  return CountRefusal::kNone;
}

CountRefusal refuse_source(const CountSource& source) {
  if (source.kind != 'r') return CountRefusal::kNotATable;
  if (source.current_pages < 0) return CountRefusal::kLocked;
  if (source.current_pages == 0) return CountRefusal::kNone;  // empty, whatever ANALYZE saw
  // Before version 14 a table that was never analyzed has 0 rows on 0 pages; so has one that was
  // empty at the time, of which nothing can be scaled either.
  if (source.reltuples < 0 || source.relpages <= 0) return CountRefusal::kNeverAnalyzed;
  if (!source.analyzed || source.changes < 0) return CountRefusal::kStatisticsLost;
  return CountRefusal::kNone;
}

Part estimate_source(const CountSource& source, int64_t sampled_pages) {
  Part part;
  if (source.current_pages == 0) return part;
  const double density = source.reltuples / static_cast<double>(source.relpages);
  part.rows = std::rint(density * static_cast<double>(source.current_pages));
  part.uncertain =
      std::max(static_cast<double>(source.changes), std::abs(part.rows - source.reltuples));
  if (source.relpages > sampled_pages)
    part.uncertain += part.rows * 2.0 / std::sqrt(static_cast<double>(sampled_pages));
  return part;
}

}  // namespace

std::string_view count_refusal_name(CountRefusal refusal) {
  return kNames.at(static_cast<size_t>(refusal));
}

CountEstimate estimate_count(const CountFacts& facts, int64_t min_rows, double max_error) {
  CountEstimate estimate;
  estimate.refusal = refuse_relation(facts);
  if (estimate.refusal != CountRefusal::kNone) return estimate;
  Part sum;
  for (const CountSource& source : facts.sources) {
    estimate.refusal = refuse_source(source);
    if (estimate.refusal != CountRefusal::kNone) return estimate;
    const Part part = estimate_source(source, std::max<int64_t>(facts.sampled_pages, 1));
    sum.rows += part.rows;
    sum.uncertain += part.uncertain;
    estimate.age_s = std::max(estimate.age_s, source.age_s);
  }
  estimate.rows = static_cast<int64_t>(std::min(sum.rows, 9e18));
  estimate.error = sum.rows > 0 ? sum.uncertain / sum.rows : 1.0;
  // An estimate of few rows shows, and an exact count of them costs little.
  if (estimate.rows < min_rows || estimate.rows == 0)
    estimate.refusal = CountRefusal::kFewRows;
  else if (!(estimate.error <= max_error))
    estimate.refusal = CountRefusal::kInaccurate;
  return estimate;
}

}  // namespace pgrecall::policy
