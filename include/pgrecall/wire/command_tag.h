// The tag of CommandComplete.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pgrecall::wire {

/// `INSERT 0 5` is {"INSERT", 5}, `SELECT 3` {"SELECT", 3}, `CREATE TABLE` {"CREATE TABLE", none}.
/// The verb is a view into the tag and may have several words.
struct CommandTag {
  std::string_view verb;
  std::optional<uint64_t> rows;
};

/// Never fails: what is no number belongs to the verb.
CommandTag parse_command_tag(std::string_view tag);

}  // namespace pgrecall::wire
