// From files and command lines to a Config, and back to text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/base/result.h"
#include "pgrecall/config/config.h"

namespace pgrecall::config {

/// One thing that is wrong, where, and what is allowed. `line` is 0 where there is no line.
struct Problem {
  std::string file;
  int line = 0;
  std::string message;

  std::string to_string() const;  ///< "file:line: message"
};

/// What the command line says; each value given overrides the file.
struct Overrides {
  std::string upstream;               ///< postgres://user:secret@host:5432/database
  std::string listen;                 ///< HOST:PORT
  std::string admin;                  ///< HOST:PORT
  std::string redis;                  ///< redis://...
  std::vector<std::string> replicas;  ///< postgres://host:port/
  uint32_t workers = 0;               ///< 0: not given
};

struct LoadResult {
  Config config;
  std::vector<Problem> problems;  ///< empty: `config` is valid, and only then it may be used
  bool checked = true;            ///< false: the file could not be read

  bool ok() const { return problems.empty(); }
  std::string message() const;  ///< one line per problem
};

/// Parses TOML text named `file` in messages, applies `overrides`, validates. Finds as many
/// problems as it can in one pass. Never throws.
LoadResult load_text(std::string_view text, const std::string& file, const Overrides& overrides);
/// As above; an empty `path` means defaults and overrides only.
LoadResult load_file(const std::string& path, const Overrides& overrides);

/// What a valid configuration cannot do, for check-config; one sentence each.
std::vector<std::string> notes(const Config& config);

/// The effective configuration as TOML; secrets are masked.
std::string print_config(const Config& config);
/// config/pgrecall.toml: every option, commented, with its default.
std::string example_file();
/// The options as a Markdown table for the documentation.
std::string docs_text();

}  // namespace pgrecall::config
