// Checks one case of statements.txt against a catalog, by hand or loaded from a server.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "pgrecall/sql/analyzer.h"
#include "pgrecall/sql/explain.h"
#include "sql/statement_cases.h"

namespace pgrecall::sql::testing {

/// "name" (of public) or "schema.name"; a test failure and kInvalidOid if there is none.
inline Oid relation_oid(const Catalog& catalog, const std::string& name) {
  const size_t dot = name.find('.');
  const std::string schema = dot == std::string::npos ? "public" : name.substr(0, dot);
  const std::string relation = dot == std::string::npos ? name : name.substr(dot + 1);
  const Relation* found = catalog.relation(catalog.schema(schema), relation);
  if (found != nullptr) return found->oid;
  ADD_FAILURE() << "no relation " << name;
  return kInvalidOid;
}

/// Marks a case that no real server can have: an unreadable view, a dependency that does not show.
constexpr const char* kOnlyByHand = "only_by_hand";

inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

inline std::vector<Oid> oids_of(const Catalog& catalog, const std::string& names) {
  std::vector<Oid> oids;
  for (const std::string& name : split(names)) oids.push_back(relation_oid(catalog, name));
  std::sort(oids.begin(), oids.end());
  return oids;
}

inline uint32_t effects_of(const std::string& names) {
  const std::pair<const char*, uint32_t> kNames[] = {{"none", kSessionNothing},
                                                     {"temporary", kSessionTemporary},
                                                     {"listen", kSessionListen},
                                                     {"unlisten_all", kSessionUnlistenAll},
                                                     {"hold_cursor", kSessionHoldCursor},
                                                     {"advisory_lock", kSessionAdvisoryLock},
                                                     {"prepare", kSessionPrepare},
                                                     {"discard_all", kSessionDiscardAll},
                                                     {"discard_temp", kSessionDiscardTemp},
                                                     {"discard_plans", kSessionDiscardPlans},
                                                     {"deallocate", kSessionDeallocate},
                                                     {"unknown", kSessionUnknown},
                                                     {"close_all", kSessionCloseAll}};
  uint32_t bits = 0;
  for (const std::string& name : split(names)) {
    const auto* found = std::find_if(std::begin(kNames), std::end(kNames),
                                     [&](const auto& entry) { return entry.first == name; });
    if (found == std::end(kNames)) {
      ADD_FAILURE() << "unknown session effect " << name;
    } else {
      bits |= found->second;
    }
  }
  return bits;
}

inline std::string spaced(std::string text) {
  std::replace(text.begin(), text.end(), '~', ' ');
  return text;
}

/// name:value, name:value:local, name:reset, or ALL:reset
inline std::string setting_text(const SettingChange& change) {
  if (change.action == SettingChange::Action::kResetAll) return "ALL:reset";
  const bool reset = change.action == SettingChange::Action::kReset;
  return change.name + ":" + (reset ? "reset" : change.value) + (change.local ? ":local" : "");
}

inline std::string isolation_text(Isolation isolation) {
  constexpr const char* kNames[] = {"unspecified", "ru", "rc", "rr", "serializable"};
  return kNames[static_cast<size_t>(isolation)];
}

inline bool is_flag(const std::string& word, const StatementAnalysis& analysis, bool& value) {
  const std::pair<const char*, bool> kFlags[] = {
      {"locks", analysis.locks},
      {"clock", analysis.uses_clock},
      {"chain", analysis.and_chain},
      {"plain_begin", analysis.plain_begin},
      {"read_only", analysis.transaction_read_only},
      {"snapshot", analysis.snapshot_import},
      {"self_committing", analysis.self_committing},
      {"do_nothing", analysis.on_conflict_do_nothing},
      {"literal_sensitive", analysis.literal_sensitive},
      {"reads_settings", analysis.reads_custom_settings}};
  for (const auto& [name, flag] : kFlags) {
    if (word == name || word == std::string("!") + name) {
      value = flag == (word[0] != '!');
      return true;
    }
  }
  return false;
}

/// Checks one `key=value` of a line of expectations. False if the key is not known.
inline bool check_value(const std::string& key, const std::string& value, const Catalog& catalog,
                        const StatementAnalysis& analysis) {
  if (key == "reads") {
    EXPECT_EQ(analysis.reads, oids_of(catalog, value));
  } else if (key == "policy_reads") {
    EXPECT_EQ(analysis.policy_reads, oids_of(catalog, value));
  } else if (key == "writes") {
    EXPECT_EQ(analysis.writes, oids_of(catalog, value));
  } else if (key == "named") {
    EXPECT_EQ(analysis.named, oids_of(catalog, value));
  } else if (key == "schemas") {
    std::vector<Oid> schemas;
    for (const std::string& name : split(value)) schemas.push_back(catalog.schema(name));
    EXPECT_EQ(analysis.schemas, schemas);
  } else if (key == "session") {
    EXPECT_EQ(analysis.session_effects, effects_of(value));
  } else if (key == "set") {
    std::string all;
    for (const SettingChange& change : analysis.settings) {
      all += (all.empty() ? "" : ";") + setting_text(change);
    }
    EXPECT_EQ(all, spaced(value));
  } else if (key == "name") {
    EXPECT_EQ(analysis.name, value);
  } else if (key == "isolation") {
    EXPECT_EQ(isolation_text(analysis.isolation), value);
  } else if (key == "count") {
    EXPECT_EQ(analysis.plain_count.column_name, value);
    EXPECT_NE(analysis.plain_count.relation, kInvalidOid);
  } else if (key == "detail") {
    EXPECT_NE(analysis.detail.find(spaced(value)), std::string::npos) << analysis.detail;
  } else {
    return false;
  }
  return true;
}

inline void check_word(const std::string& word, const Catalog& catalog,
                       const StatementAnalysis& analysis) {
  bool value = false;
  if (is_flag(word, analysis, value)) {
    EXPECT_TRUE(value) << word;
    return;
  }
  const size_t equals = word.find('=');
  if (equals != std::string::npos &&
      check_value(word.substr(0, equals), word.substr(equals + 1), catalog, analysis)) {
    return;
  }
  ADD_FAILURE() << "unknown expectation " << word;
}

/// kind effect reason-or-"cacheable" then words; path=a,b sets the search path.
inline void check_case(const StatementCase& test, const Catalog& catalog) {
  SCOPED_TRACE("statements.txt:" + std::to_string(test.line) + ": " + test.sql);
  ASSERT_GE(test.expected.size(), 3U);
  ResolveScope scope;
  std::vector<std::string> path{"public"};
  std::vector<std::string> words(test.expected.begin() + 3, test.expected.end());
  std::erase_if(words, [&](const std::string& word) {
    if (word == kOnlyByHand) return true;
    if (!word.starts_with("path=")) return false;
    path = split(word.substr(5));
    return true;
  });
  for (const std::string& schema : path) {
    scope.catalog_listed = scope.catalog_listed || schema == "pg_catalog";
    scope.search_path.push_back(catalog.schema(schema));
  }
  const auto parsed = parse(test.sql);
  const auto analyses = resolve(*parsed, &catalog, scope);
  ASSERT_FALSE(analyses.empty());
  const StatementAnalysis& analysis = analyses[0];
  const std::string reason(bypass_reason_name(analysis.reason));
  EXPECT_EQ(statement_kind_name(analysis.kind), test.expected[0]);
  EXPECT_EQ(effect_name(analysis.effect), test.expected[1]);
  EXPECT_EQ(analysis.cacheable ? "cacheable" : reason, test.expected[2])
      << explain_analysis(analysis, &catalog);
  if (analysis.cacheable) {
    EXPECT_EQ(reason, "no_bypass");
    EXPECT_EQ(analysis.effect, Effect::kNone);
    EXPECT_FALSE(analysis.reads.empty());
  }
  for (const std::string& word : words) check_word(word, catalog, analysis);
}

}  // namespace pgrecall::sql::testing
