// What a text names, as far as its tokens tell: for text that is not parsed.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <string>

namespace pgrecall::sql {

/// Of one SELECT. Every name that could be looked up is here, some that are not (aliases) as well.
struct TokenNames {
  enum class Place : uint8_t {
    kPlain,     ///< a column, an alias, a type, a word of the grammar
    kCalled,    ///< before a bracket
    kClause,    ///< before a bracket: a word of a clause, or a function that users called so
    kSelected,  ///< after a dot and no relation: a column, or a function or type applied to a row
    kRelation,  ///< in FROM and no name of a WITH clause
  };
  struct Name {
    Place place = Place::kPlain;
    std::string qualifier;  ///< the name before the dot, or empty
    std::string name;       ///< as PostgreSQL sees it
    auto operator<=>(const Name&) const = default;
  };
  std::set<Name> names;
  std::set<std::string, std::less<>> operators;  ///< those of IN, LIKE and kin as well
};

/// Bytes that they hold.
size_t memory_bytes(const TokenNames& names);

}  // namespace pgrecall::sql
