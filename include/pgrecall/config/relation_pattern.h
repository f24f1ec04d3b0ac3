// How a relation is written in a rule: "t" or "schema.t".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgrecall::config {

/// Names are spelled as in the catalog, case included. An empty schema means any.
struct RelationPattern {
  std::string schema;
  std::string name;

  bool matches(std::string_view other_schema, std::string_view other_name) const {
    return name == other_name && (schema.empty() || schema == other_schema);
  }
};

/// A part may stand in double quotes (then it may hold a dot; "" is one quote). Nothing if the text
/// is not one or two non-empty parts.
std::optional<RelationPattern> parse_relation_pattern(std::string_view text);

}  // namespace pgrecall::config
