#include "session/session_objects.h"

#include <algorithm>
#include <utility>

namespace pgrecall::session {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || (c & 0x80) != 0;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

/// An unquoted name; empty if there is none.
std::string_view take_name(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_word);
  const auto size = static_cast<size_t>(end - text.begin());
  const std::string_view name = text.substr(0, size);
  text.remove_prefix(size);
  return name;
}

bool names_word(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word(text[at - 1]);
    const bool ends = at + word.size() == text.size() || !is_word(text[at + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

/// Column definitions that call nothing when a row is inserted.
bool are_plain_columns(std::string_view definition) {
  constexpr std::string_view kMayCall[] = {"default", "check",     "generated", "like",
                                           "of",      "inherits",  "exclude",   "partition",
                                           "using",   "references"};
  return std::none_of(std::begin(kMayCall), std::end(kMayCall),
                      [&](std::string_view word) { return names_word(definition, word); });
}

/// A temporary relation before it, or its row type: what is analysed as the one is the other.
bool hides_another(const sql::Catalog& catalog, std::string_view name) {
  if (!catalog.types_named(name).empty()) return true;
  return std::any_of(catalog.schemas.begin(), catalog.schemas.end(), [&](const auto& schema) {
    return catalog.relation(schema.first, name) != nullptr;
  });
}

}  // namespace

SessionObjects::Created SessionObjects::create(const TextEntry& entry,
                                               const sql::Catalog* catalog) {
  if (!entry.canonical.ok || entry.canonical.multi_statement || catalog == nullptr) {
    return Created::kUnknown;
  }
  std::string_view rest = entry.canonical.shape;
  if (!take(rest, "create ")) return Created::kUnknown;
  const bool replaces = take(rest, "or replace ");
  if (!take(rest, "temp ") && !take(rest, "temporary ")) return Created::kUnknown;
  if (take(rest, "sequence ")) return Created::kPlain;
  const bool view = take(rest, "view ");
  if (replaces != (replaces && view) || (!view && !take(rest, "table "))) return Created::kUnknown;
  if (!view) take(rest, "if not exists ");
  const std::string name(take_name(rest));
  const bool ends = rest.starts_with(" ") || rest.starts_with("(");
  if (name.empty() || !ends || hides_another(*catalog, name)) return Created::kUnknown;
  // Reads are judged without its columns, so that casts of these would not be seen.
  if (catalog->casts_run_code()) return Created::kUnknown;
  const bool from_query = rest.starts_with(" as ") || rest.starts_with(" on commit ");
  if (!view && !from_query && !are_plain_columns(rest)) return Created::kUnknown;
  if (plain_.size() >= kMax) return Created::kUnknown;
  erase_plain([&](const std::string& known, const State&) { return known == name; });
  plain_.push_back(name);
  states_.push_back({false, names_word(rest, "on commit drop")});
  return view ? Created::kView : Created::kPlain;
}

bool SessionObjects::define(const TextEntry& entry) {
  if (plain_.empty()) return true;
  if (!entry.canonical.ok) return false;
  const std::string_view shape = entry.canonical.shape;
  const bool drops = shape.starts_with("drop ") && !entry.canonical.multi_statement;
  // CASCADE takes what it does not name: no name is surely that of a temporary relation any more.
  if (drops && names_word(shape, "cascade")) {
    discard_temporary();
    return true;
  }
  bool all_known = true;
  erase_plain([&](const std::string& name, const State&) {
    if (shape.find(name) == std::string_view::npos) return false;
    all_known = all_known && drops;
    return true;
  });
  return all_known;
}

void SessionObjects::end_transaction(bool committed) {
  if (plain_.empty()) return;
  erase_plain([&](const std::string&, State& state) {
    const bool gone = committed ? state.drops_on_commit : !state.settled;
    state.settled = true;
    return gone;
  });
}

void SessionObjects::roll_back_to() {
  erase_plain([](const std::string&, const State& state) { return !state.settled; });
}

template <typename Predicate>
void SessionObjects::erase_plain(Predicate gone) {
  for (size_t i = plain_.size(); i-- > 0;) {
    if (!gone(plain_[i], states_[i])) continue;
    plain_.erase(plain_.begin() + static_cast<std::ptrdiff_t>(i));
    states_.erase(states_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void SessionObjects::prepare(const std::string& name, std::shared_ptr<TextEntry> statement) {
  prepared_.erase(name);
  if (prepared_.size() < kMax) prepared_.emplace(name, std::move(statement));
}

void SessionObjects::prepare_other(const std::string& name) {
  if (prepared_others_.size() < kOthersMax) prepared_others_.insert(name);
}

void SessionObjects::deallocate(const std::string& name) {
  if (name.empty()) {
    prepared_.clear();
    prepared_others_.clear();
  } else {
    prepared_.erase(name);
    prepared_others_.erase(name);
  }
}

std::shared_ptr<TextEntry> SessionObjects::prepared(const std::string& name) const {
  const auto found = prepared_.find(name);
  return found == prepared_.end() ? nullptr : found->second;
}

void SessionObjects::discard_temporary() {
  plain_.clear();
  states_.clear();
}

void SessionObjects::clear() {
  discard_temporary();
  deallocate({});
}

std::string_view statement_after_as(std::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // Constants and comments may hold anything.
    if (c == '\'' || c == '$' || text.substr(i, 2) == "--" || text.substr(i, 2) == "/*") return {};
    if (c == '"') {
      i = text.find('"', i + 1);
      if (i == std::string_view::npos) return {};
      continue;
    }
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    const bool begins = is_word(c) && (i == 0 || !is_word(text[i - 1]));
    if (depth != 0 || !begins) continue;
    std::string_view rest = text.substr(i);
    const std::string_view word = take_name(rest);
    const bool is_as = word.size() == 2 && (word[0] | 0x20) == 'a' && (word[1] | 0x20) == 's';
    if (is_as) return rest;
  }
  return {};
}

bool declares_only_built_in_types(const TextEntry& prepare) {
  // Words of the grammar: these types are the built-in ones under any search_path.
  constexpr std::string_view kBuiltIn[] = {"int",     "integer", "smallint", "bigint",
                                           "boolean", "numeric", "real",     "varchar"};
  std::string_view rest = prepare.canonical.shape;
  if (!prepare.canonical.ok || !take(rest, "prepare ") || take_name(rest).empty()) return false;
  take(rest, " ");
  for (bool first = true; take(rest, first ? "(" : ","); first = false) {
    take(rest, " ");
    const std::string_view type = take_name(rest);
    if (std::find(std::begin(kBuiltIn), std::end(kBuiltIn), type) == std::end(kBuiltIn))
      return false;
    take(rest, " ");
  }
  take(rest, ")");
  take(rest, " ");
  return rest.starts_with("as ");
}

bool has_constant_arguments(const TextEntry& execute) {
  if (!execute.canonical.ok || execute.canonical.multi_statement) return false;
  const std::string_view shape = execute.canonical.shape;
  const size_t open = shape.find('(');
  if (open == std::string_view::npos) return true;
  std::string_view rest = shape.substr(open);
  while (!rest.empty()) {
    if (std::string_view("(?, )+-").find(rest[0]) != std::string_view::npos) {
      rest.remove_prefix(1);
      continue;
    }
    const std::string_view word = take_name(rest);
    const bool literal = word.starts_with("$") && word.size() <= 2 && rest.starts_with("?");
    if (!literal && word != "null" && word != "true" && word != "false") return false;
  }
  return true;
}

std::string without_relations(std::string_view text, const std::vector<std::string>& names) {
  std::string sql = "WITH ";
  for (const std::string& name : names) {
    if (sql.size() > 5) sql += ", ";
    sql += '"' + name + "\" AS (SELECT 1)";
  }
  const size_t end = text.find_last_not_of("; \t\r\n");
  sql += " SELECT 1 FROM (";
  sql += text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  sql += "\n) AS original";
  return sql;
}

}  // namespace pgrecall::session
