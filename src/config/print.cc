#include <fmt/format.h>

#include <algorithm>

#include "config/options.h"
#include "pgrecall/config/load.h"

namespace pgrecall::config {
namespace {

constexpr size_t kCommentColumns = 96;

constexpr std::string_view kFileHead =
    R"(# pgrecall: every option with its default. Lines that you leave out keep their defaults.
# Generated from the option table: pgrecall print-config --example
#
# Durations are a whole number and a unit: ms, s, min, h, d. Sizes likewise: B, KB, MB, GB, where
# 1 KB is 1024 bytes. A change needs a restart.

)";

constexpr std::string_view kRuleHead = R"(
# Rules, in order; the first that matches a statement wins. All conditions of a rule must hold
# (tables, sql, user, database, application_name); it states at least one action.
#
# A rule that loosens freshness (invalidate = "ttl-only", count = "estimate") or says cache = true
# matches only if all relations named in the statement are listed; any other rule if one is.
# Loosening never reaches a session's own writes, privileges or row-level security.
#
# [[rule]]
# name = "sessions stay out of Redis"
# tables = ["django_session", "auth_user"]
# redis = false
#
# [[rule]]
# name = "big counts"
# tables = ["public.events"]
# count = "estimate"
#
# Keys of a rule:
)";

void append_comment(std::string& out, std::string_view text) {
  while (!text.empty()) {
    size_t length = text.size();
    if (length > kCommentColumns) {
      length = text.rfind(' ', kCommentColumns);
      if (length == std::string_view::npos) length = text.size();
    }
    fmt::format_to(std::back_inserter(out), "# {}\n", text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
}

void append_section_head(std::string& out, const Section& section, bool with_comments) {
  if (section.name.empty()) return;
  out += '\n';
  if (with_comments) append_comment(out, section.sentence);
  fmt::format_to(std::back_inserter(out), "[{}]\n", section.name);
}

void append_rule(std::string& out, const Rule& rule) {
  out += "\n[[rule]]\n";
  const Rule unset;
  for (const Option<Rule>& option : rule_options()) {
    const std::string text = format_masked(option, option.field_of(rule));
    if (text.empty() || text == format_field(option.field_of(unset))) continue;
    fmt::format_to(std::back_inserter(out), "{} = {}\n", option.name, text);
  }
}

}  // namespace

std::string print_config(const Config& config) {
  std::string out;
  for (const Section& section : sections()) {
    append_section_head(out, section, false);
    for (const Option<Config>& option : options()) {
      if (option.section == section.name)
        fmt::format_to(std::back_inserter(out), "{} = {}\n", option.name,
                       format_masked(option, option.field_of(config)));
    }
  }
  for (const Rule& rule : config.rules) append_rule(out, rule);
  return out;
}

std::string example_file() {
  const Config defaults;
  std::string out(kFileHead);
  for (const Section& section : sections()) {
    append_section_head(out, section, true);
    for (const Option<Config>& option : options()) {
      if (option.section != section.name) continue;
      const Field field = option.field_of(defaults);
      append_comment(out, option.sentence);
      append_comment(out, fmt::format("Allowed: {}.", allowed_text(option, field)));
      fmt::format_to(std::back_inserter(out), "{} = {}\n", option.name, format_field(field));
    }
  }
  out += kRuleHead;
  const Rule rule;
  for (const Option<Rule>& option : rule_options())
    append_comment(out, fmt::format("{}: {} Allowed: {}.", option.name, option.sentence,
                                    allowed_text(option, option.field_of(rule))));
  return out;
}

std::string docs_text() {
  const Config defaults;
  const Rule rule;
  std::string out;
  for (const Section& section : sections()) {
    if (!section.name.empty())
      fmt::format_to(std::back_inserter(out), "\n### [{}]\n\n{}\n\n", section.name,
                     section.sentence);
    out += "| Option | Default | Allowed | Meaning |\n|---|---|---|---|\n";
    for (const Option<Config>& option : options()) {
      if (option.section != section.name) continue;
      const Field field = option.field_of(defaults);
      fmt::format_to(std::back_inserter(out), "| `{}` | `{}` | {} | {} |\n", option.name,
                     format_field(field), allowed_text(option, field), option.sentence);
    }
  }
  out += "\n### [[rule]]\n\n| Key | Allowed | Meaning |\n|---|---|---|\n";
  for (const Option<Rule>& option : rule_options())
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} |\n", option.name,
                   allowed_text(option, option.field_of(rule)), option.sentence);
  return out;
}

}  // namespace pgrecall::config
