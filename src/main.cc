// The command line: each command does one thing and ends, or hands over to proxy::run.
#include <cstdio>
#include <string_view>

#include "pgrecall/base/fault.h"
#include "pgrecall/base/log.h"
#include "pgrecall/config/command_line.h"
#include "pgrecall/proxy/explain.h"
#include "pgrecall/proxy/run.h"

namespace {

using pgrecall::config::Command;
using pgrecall::config::CommandLine;
using pgrecall::config::Config;

constexpr int kBadConfiguration = 2;

void print(std::FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
}

int check_config(const Config& config, const CommandLine& line) {
  print(stdout, pgrecall::config::what_was_checked(line) + "\n");
  for (const std::string& note : pgrecall::config::notes(config)) print(stdout, note + "\n");
  print(stdout, "configuration is valid\n");
  return 0;
}

int explain(const Config& config, const CommandLine& line) {
  const std::string& database =
      line.explain_database.empty() ? config.upstream.database : line.explain_database;
  const auto text = pgrecall::proxy::explain(config, database, line.explain_sql);
  if (!text.ok()) {
    print(stderr, text.error().message + "\n");
    return 1;
  }
  print(stdout, *text);
  return 0;
}

int dispatch(const Config& config, const CommandLine& line) {
  switch (line.command) {
    case Command::kCheckConfig:
      return check_config(config, line);
    case Command::kPrintConfig:
      print(stdout, pgrecall::config::print_config(config));
      return 0;
    case Command::kExplain:
      return explain(config, line);
    case Command::kSetupSql:
      print(stdout, pgrecall::config::setup_sql(config));
      return 0;
    default:
      pgrecall::log::configure(static_cast<pgrecall::log::Level>(config.log.level),
                               static_cast<pgrecall::log::Format>(config.log.format));
      return pgrecall::proxy::run(config);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const CommandLine line = pgrecall::config::parse_command_line(argc, argv);
  if (line.command == Command::kExit) {
    print(line.exit_code == 0 ? stdout : stderr, line.text);
    return line.exit_code;
  }
  if (line.print_example) {
    print(stdout, pgrecall::config::example_file());
    return 0;
  }
  for (const std::string& fault : line.faults) {
    const auto enabled = pgrecall::enable_fault(fault);
    if (!enabled.ok()) {
      print(stderr, enabled.error().message + "\n");
      return kBadConfiguration;
    }
  }
  const auto loaded = pgrecall::config::load_file(line.config_path, line.overrides);
  if (!loaded.ok()) {
    if (line.command == Command::kCheckConfig && loaded.checked)
      print(stdout, pgrecall::config::what_was_checked(line) + "\n");
    print(stderr, loaded.message());
    return kBadConfiguration;
  }
  return dispatch(loaded.config, line);
}
