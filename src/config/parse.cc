#include "config/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "config/options.h"
#include "config/suggest.h"

namespace pgrecall::config {
namespace {

std::string_view type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    default:
      return "this value";
  }
}

Value value_of(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* real = node.as_floating_point()) return real->get();
  if (const auto* text = node.as_string()) return text->get();
  const toml::array* list = node.as_array();
  if (list == nullptr) return Other{type_name(node.type())};
  std::vector<std::string> items;
  for (const toml::node& item : *list) {
    const auto* text = item.as_string();
    if (text == nullptr) return Other{"a list with something else than strings"};
    items.push_back(text->get());
  }
  return items;
}

int line_of(const toml::source_region& source) {
  return static_cast<int>(source.begin.line);
}

/// Parses one TOML document; holds what the functions below share.
class Parser {
 public:
  explicit Parser(Loading& into) : into_(into) {}

  void document(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string_view name = key.str();
      if (name == "rule")
        rules(node);
      else if (is_section(name))
        section(name, node);
      else
        option("", key, node, into_.config, options(), std::string(name));
    }
  }

 private:
  static bool is_section(std::string_view name) {
    const auto all = sections();
    return !name.empty() && std::any_of(all.begin(), all.end(),
                                        [&](const Section& known) { return known.name == name; });
  }

  void complain(int line, std::string message) {
    into_.problems.push_back({into_.file, line, std::move(message)});
  }

  void section(std::string_view name, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      complain(line_of(node.source()), fmt::format("{0} must be a table: [{0}]", name));
      return;
    }
    for (const auto& [key, child] : *table) {
      if (name == "upstream" && key.str() == "replica")
        replicas(child);
      else
        option(name, key, child, into_.config, options(), fmt::format("{}.{}", name, key.str()));
    }
  }

  void rules(const toml::node& node) {
    each_table(node, "rule", [&](const toml::table& table, size_t index) {
      Rule rule;
      rule.name = fmt::format("rule {}", index + 1);
      const std::string prefix = fmt::format("rule[{}]", index);
      into_.lines[prefix] = line_of(table.source());
      for (const auto& [key, child] : table)
        option("rule", key, child, rule, rule_options(), fmt::format("{}.{}", prefix, key.str()));
      into_.config.rules.push_back(std::move(rule));
    });
  }

  void replicas(const toml::node& node) {
    each_table(node, "upstream.replica", [&](const toml::table& table, size_t index) {
      Replica replica;
      const std::string prefix = fmt::format("upstream.replica[{}]", index);
      into_.lines[prefix] = line_of(table.source());
      for (const auto& [key, child] : table)
        option("upstream.replica", key, child, replica, replica_options(),
               fmt::format("{}.{}", prefix, key.str()));
      into_.config.upstream.replicas.push_back(std::move(replica));
    });
  }

  template <typename Visit>
  void each_table(const toml::node& node, std::string_view name, Visit visit) {
    const toml::array* list = node.as_array();
    if (list == nullptr || !list->is_array_of_tables()) {
      complain(line_of(node.source()),
               fmt::format("{0} must be a list of tables: write [[{0}]]", name));
      return;
    }
    size_t index = 0;
    for (const toml::node& item : *list) visit(*item.as_table(), index++);
  }

  template <typename Owner>
  void option(std::string_view section, const toml::key& key, const toml::node& node, Owner& owner,
              std::span<const Option<Owner>> table, const std::string& path) {
    const int line = line_of(key.source());
    for (const Option<Owner>& known : table) {
      if (known.section != section || known.name != key.str()) continue;
      into_.lines[path] = line;
      const Status assigned = assign(known, known.field(owner), value_of(node));
      if (!assigned.ok())
        complain(line, fmt::format("{}: {}", known.path(), assigned.error().message));
      return;
    }
    unknown(section, key.str(), line, table);
  }

  template <typename Owner>
  void unknown(std::string_view section, std::string_view name, int line,
               std::span<const Option<Owner>> table) {
    const std::string path =
        section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
    for (const NotBuilt& known : options_not_built()) {
      if (known.section == section && known.name == name) {
        complain(line, path + " is not built yet");
        return;
      }
    }
    std::vector<std::string_view> allowed;
    for (const Option<Owner>& known : table)
      if (known.section == section) allowed.push_back(known.name);
    if (section.empty()) {
      for (const Section& known : sections())
        if (!known.name.empty()) allowed.push_back(known.name);
      allowed.push_back("rule");
    }
    const std::string_view near = closest(name, allowed);
    complain(line, fmt::format("{} is not an option{}; allowed here: {}", path,
                               near.empty() ? "" : fmt::format(" (did you mean {}?)", near),
                               fmt::join(allowed, ", ")));
  }

  Loading& into_;
};

}  // namespace

void parse_toml(std::string_view text, Loading& into) {
  const toml::parse_result result = toml::parse(text, into.file);
  if (!result) {
    into.problems.push_back({into.file, line_of(result.error().source()),
                             "not valid TOML: " + std::string(result.error().description())});
    return;
  }
  Parser(into).document(result.table());
}

}  // namespace pgrecall::config
