#include "pgrecall/policy/rules.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <optional>

#include "pgrecall/config/relation_pattern.h"

namespace pgrecall::policy {
namespace {

using config::CountMode;
using config::RelationPattern;
using config::RuleInvalidate;
using Names = std::vector<RelationName>;

/// Bounds the memory that one expression may take while it matches; time is linear in the text.
constexpr int64_t kRegexBytesMax = 1 << 20;

bool lists(const std::vector<RelationPattern>& patterns, const RelationName& relation) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const RelationPattern& pattern) {
    return pattern.matches(relation.schema, relation.name);
  });
}

}  // namespace

/// One compiled rule. `loosen` is applied only where every named relation is listed.
struct RuleSet::Rule {
  config::Rule source;
  std::vector<RelationPattern> patterns;  ///< empty: any statement
  std::unique_ptr<RE2> sql;

  bool tightens() const { return source.cache == false || source.redis == false; }
  bool loosens() const {
    return source.cache == true || waives_invalidation() || source.count == CountMode::kEstimate;
  }

  bool waives_invalidation() const { return source.invalidate == RuleInvalidate::kTtlOnly; }
  /// Matches only statements whose named relations are all listed.
  bool needs_all() const { return loosens() && !tightens(); }

  bool conditions_hold(const RuleInput& input) const {
    return (source.user.empty() || source.user == input.user) &&
           (source.database.empty() || source.database == input.database) &&
           (source.application_name.empty() || source.application_name == input.application_name) &&
           (!sql ||
            RE2::PartialMatch(re2::StringPiece(input.shape.data(), input.shape.size()), *sql));
  }

  bool lists_any(const Names& relations) const {
    return std::any_of(relations.begin(), relations.end(),
                       [this](const RelationName& name) { return lists(patterns, name); });
  }

  bool lists_all(const Names& relations) const {
    return patterns.empty() ||
           (!relations.empty() &&
            std::all_of(relations.begin(), relations.end(),
                        [this](const RelationName& name) { return lists(patterns, name); }));
  }

  void tighten(Policy& policy) const {
    if (source.cache == false) policy.cache = false;
    if (source.redis == false) policy.redis = false;
  }

  /// Bounds only ever narrow, so they are safe where just some relations are listed.
  void limit(Policy& policy, bool for_all) const {
    if (source.min_query_ms)
      policy.min_query =
          std::max<Duration>(policy.min_query, std::chrono::milliseconds(*source.min_query_ms));
    if (source.max_bytes) policy.max_bytes = std::min(policy.max_bytes, *source.max_bytes);
    if (source.jitter) policy.jitter = *source.jitter;
    if (!source.ttl) return;
    const Duration ttl = *source.ttl;
    policy.ttl = for_all ? ttl : std::min(policy.ttl, ttl);
    policy.ttl_for_all = for_all;
  }

  void loosen(Policy& policy) const {
    policy.ttl_only = waives_invalidation();
    policy.count = source.count;
    if (source.min_rows) policy.min_rows = *source.min_rows;
    if (source.max_error) policy.max_error = *source.max_error;
  }
};

/// The relations of a statement that no matching rule has listed so far.
struct RuleSet::Unlisted {
  Names named;
  Names reads;

  bool empty() const { return named.empty() && reads.empty(); }

  /// A rule without tables speaks of statements as they are written, so what stands behind a view
  /// that an earlier rule lists is no business of it.
  bool touched_by(const Rule& rule) const {
    if (rule.patterns.empty()) return !named.empty();
    return rule.lists_any(named) || rule.lists_any(reads);
  }

  void remove(const Rule& rule) {
    const auto listed = [&](const RelationName& name) {
      return rule.patterns.empty() || lists(rule.patterns, name);
    };
    std::erase_if(named, listed);
    std::erase_if(reads, listed);
  }
};

RuleSet::RuleSet() = default;
RuleSet::~RuleSet() = default;

size_t RuleSet::size() const {
  return rules_.size();
}

Result<std::shared_ptr<const RuleSet>> RuleSet::compile(const config::Config& config) {
  std::shared_ptr<RuleSet> set(new RuleSet());
  set->defaults_.ttl = config.cache.max_age;
  set->defaults_.max_bytes = config.cache.entry_max_bytes;
  set->defaults_.min_rows = config.counts.min_rows;
  set->defaults_.max_error = config.counts.max_error;
  for (const config::Rule& source : config.rules) {
    auto rule = std::make_unique<Rule>();
    rule->source = source;
    for (const std::string& text : source.tables) {
      auto pattern = config::parse_relation_pattern(text);
      if (!pattern)
        return Error{fmt::format("rule \"{}\": \"{}\" is not a table", source.name, text), ""};
      rule->patterns.push_back(std::move(*pattern));
    }
    if (!source.sql.empty()) {
      RE2::Options options(RE2::Quiet);
      options.set_max_mem(kRegexBytesMax);
      rule->sql = std::make_unique<RE2>(source.sql, options);
      if (!rule->sql->ok())
        return Error{fmt::format("rule \"{}\": sql: {}", source.name, rule->sql->error()), ""};
    }
    set->rules_.push_back(std::move(rule));
  }
  return std::shared_ptr<const RuleSet>(std::move(set));
}

Policy RuleSet::policy_for(const RuleInput& input) const {
  Policy policy = defaults_;
  Unlisted rest{input.named, input.reads};
  for (const auto& rule : rules_) {
    if (!rule->conditions_hold(input)) continue;
    const bool all = rule->lists_all(input.named);
    if (policy.rule_name != nullptr) {
      // The winner lists only some of the relations. For the others the first match counts as well,
      // but may no longer loosen.
      if (rule->needs_all() || !rest.touched_by(*rule)) continue;
      rule->tighten(policy);
      rule->limit(policy, false);
    } else {
      const bool any = all || rule->lists_any(input.named) || rule->lists_any(input.reads);
      if (rule->needs_all() ? !all : !any) continue;
      policy.rule_name = &rule->source.name;
      rule->tighten(policy);
      // The ttl of a rule that waives invalidation belongs to the waiver.
      if (all || !rule->waives_invalidation()) rule->limit(policy, all);
      if (all) rule->loosen(policy);
    }
    rest.remove(*rule);
    if (rest.empty()) break;
  }
  return policy;
}

}  // namespace pgrecall::policy
