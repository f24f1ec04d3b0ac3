// RuleSet: the user's `[[rule]]` tables, compiled; says how one statement may be cached.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/clock.h"
#include "pgrecall/base/result.h"
#include "pgrecall/config/config.h"

namespace pgrecall::policy {

/// As the catalog spells it, unquoted.
struct RelationName {
  std::string schema;
  std::string name;
};

/// What rules match on. Views must outlive the call only.
struct RuleInput {
  /// The relations as the statement names them, each in the schema it resolved to.
  std::vector<RelationName> named;
  /// All relations read, also those behind views, partitions and policies. Rules that tighten match
  /// on these as well, so a view does not lead around `redis = false`.
  std::vector<RelationName> reads;
  std::string_view shape;  ///< canonical text without literals
  std::string_view user;
  std::string_view database;
  std::string_view application_name;
};

/// How one statement may be cached. Without any rule these are the values of the configuration.
struct Policy {
  bool cache = true;
  bool redis = true;      ///< may be kept in tier two
  Duration ttl{};         ///< longest life of an entry, before jitter
  double jitter = 0.2;    ///< share of the ttl that may be taken off at random
  bool ttl_only = false;  ///< relation epochs are waived, never the database's or policies' ones
  /// A rule with a `ttl` lists every relation of the statement: what only a ttl makes cacheable
  /// (unlogged tables) may be cached.
  bool ttl_for_all = false;
  Duration min_query{};  ///< results that PostgreSQL made faster than this are not stored
  size_t max_bytes = 0;  ///< larger results are not stored
  config::CountMode count = config::CountMode::kExact;
  int64_t min_rows = 0;
  double max_error = 0;
  const std::string* rule_name = nullptr;  ///< first rule that matched; lives as the RuleSet
};

/// Immutable, shared by all threads; a reload makes a new one. Evaluated when an analysis is made,
/// never for a hit.
///
/// Rules are tried in order and the first match wins. A rule matches if every condition it states
/// holds. Of `tables`, a rule that loosens (`invalidate = "ttl-only"`, `count = "estimate"`,
/// `cache = true`) needs all named relations listed; any other rule needs one. Where the winner
/// lists only some of the relations, it applies without its loosening part, and for the others the
/// first match further down may still narrow, so that no rule hides another table's `cache =
/// false`. A bare name means that relation in any schema, `schema.name` exactly one; parts may be
/// quoted.
class RuleSet {
 public:
  /// Compiles; an error names the rule and what is wrong with it.
  static Result<std::shared_ptr<const RuleSet>> compile(const config::Config& config);
  ~RuleSet();
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;

  Policy policy_for(const RuleInput& input) const;
  size_t size() const;

 private:
  struct Rule;
  struct Unlisted;
  RuleSet();
  std::vector<std::unique_ptr<Rule>> rules_;
  Policy defaults_;
};

}  // namespace pgrecall::policy
