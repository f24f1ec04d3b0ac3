// The command line of pgrecall, parsed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pgrecall/config/load.h"

namespace pgrecall::config {

enum class Command : uint8_t {
  kRun,
  kCheckConfig,
  kPrintConfig,
  kExplain,
  kSetupSql,
  kExit,  ///< --help, --version, or a bad command line: print `text` and end with `exit_code`
};

struct CommandLine {
  Command command = Command::kExit;
  std::string config_path;  ///< empty: no file
  Overrides overrides;
  std::vector<std::string> faults;  ///< names for `enable_fault`
  bool print_example = false;       ///< print-config --example: `example_file()`
  std::string explain_sql;
  std::string explain_database;  ///< empty: `upstream.database`
  std::string text;
  int exit_code = 0;
};

CommandLine parse_command_line(int argc, const char* const* argv);

/// For check-config: which file and which flags the configuration came from. No value of a flag is
/// in it, since some are secret.
std::string what_was_checked(const CommandLine& line);

/// SQL that gives the control role of `config` what it needs and no more, with comments; for a
/// person to read and run.
std::string setup_sql(const Config& config);

}  // namespace pgrecall::config
