#include "pgrecall/config/command_line.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace pgrecall::config {
namespace {

/// A script whose variable is not set gives one: the defaults are not what it means.
std::string not_empty(const std::string& value) {
  return value.empty() ? "must not be empty" : "";
}

/// Returns `--config`.
CLI::Option* add_options(CLI::App& app, CommandLine& line) {
  app.set_version_flag("--version", "pgrecall " PGRECALL_VERSION);
  CLI::Option* file = app.add_option("--config", line.config_path, "Configuration file (TOML)");
  file->type_name("FILE")->check(not_empty);
  app.add_option("--upstream", line.overrides.upstream,
                 "The primary, with the control role: postgres://user:secret@host:5432/")
      ->type_name("URL")
      ->check(not_empty);
  app.add_option("--listen", line.overrides.listen, "Where clients connect")
      ->type_name("HOST:PORT")
      ->check(not_empty);
  app.add_option("--admin", line.overrides.admin, "Where HTTP is served")
      ->type_name("HOST:PORT")
      ->check(not_empty);
  app.add_option("--redis", line.overrides.redis, "Second tier: redis://host:6379/0")
      ->type_name("URL")
      ->check(not_empty);
  app.add_option("--replica", line.overrides.replicas, "A replica; may be given several times")
      ->type_name("URL")
      ->allow_extra_args(false);
  app.add_option("--workers", line.overrides.workers, "Threads that serve clients")
      ->type_name("N")
      ->check(CLI::Range(1, 64));
  app.add_option("--fault", line.faults,
                 "Break a rule on purpose, in builds with fault points; may be given several times")
      ->type_name("NAME")
      ->allow_extra_args(false);
  return file;
}

void add_commands(CLI::App& app, CommandLine& line, CLI::Option* config) {
  const auto command = [&](const char* name, const char* text, Command value) {
    CLI::App* sub = app.add_subcommand(name, text);
    sub->callback([&line, value] { line.command = value; });
    return sub;
  };
  command("check-config", "Say everything that is wrong with the configuration",
          Command::kCheckConfig)
      ->add_option("file", line.config_path,
                   "The file to check (or --config FILE); without one, the defaults and the flags")
      ->type_name("FILE")
      ->check(not_empty)
      ->excludes(config);
  command("print-config", "Print the effective configuration, secrets masked",
          Command::kPrintConfig)
      ->add_flag("--example", line.print_example,
                 "Print the commented example with every default instead");
  CLI::App* explain =
      command("explain",
              "Say whether a statement is cacheable, or why not; connects to the server of "
              "--upstream or --config, whose catalog it reads",
              Command::kExplain);
  explain->add_option("sql", line.explain_sql, "The statement")->required()->type_name("SQL");
  explain->add_option("--database", line.explain_database, "Database (default: upstream.database)")
      ->type_name("NAME");
  command("setup-sql", "Print SQL that creates a control role with the least privileges",
          Command::kSetupSql);
}

/// `argument` as a message may repeat it: a URL, or what follows a "=", may hold a secret.
std::string without_secret(const std::string& argument) {
  constexpr std::string_view kMask = "********";
  const bool option = argument.starts_with('-');
  const size_t at = argument.find_first_of("=:@");
  if (at == std::string::npos) {
    const bool with_value = option && !argument.starts_with("--") && argument.size() > 2;
    return with_value ? argument.substr(0, 2).append(kMask) : argument;
  }
  if (argument[at] == '=') return argument.substr(0, at + 1).append(kMask);
  if (argument.compare(at, 3, "://") == 0) return argument.substr(0, at + 3).append(kMask);
  return argument.substr(0, option ? at : 0).append(kMask);
}

void replace_all(std::string& text, const std::string& old, const std::string& with) {
  if (old.empty() || old == with) return;
  for (size_t at = 0; (at = text.find(old, at)) != std::string::npos; at += with.size())
    text.replace(at, old.size(), with);
}

/// The library repeats arguments as they were given.
std::string message_of(const CLI::App& app, const CLI::ParseError& error, int argc,
                       const char* const* argv) {
  std::ostringstream out;
  app.exit(error, out, out);
  std::string text = out.str();
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    replace_all(text, argument, without_secret(argument));
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) continue;
    const std::string value = argument.substr(equals + 1);
    replace_all(text, value, without_secret(value));
  }
  return text;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  line.command = Command::kRun;
  CLI::App app("A PostgreSQL proxy that remembers read results", "pgrecall");
  app.fallthrough();
  app.require_subcommand(0, 1);
  add_commands(app, line, add_options(app, line));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    // The first alone: the others may be its values.
    const std::vector<std::string> extras = app.remaining(true);
    line.command = Command::kExit;
    line.exit_code = 2;
    line.text = "This argument was not expected: " +
                (extras.empty() ? "" : without_secret(extras.front())) +
                "\nRun with --help for more information.\n";
  } catch (const CLI::ParseError& error) {
    line.command = Command::kExit;
    line.exit_code = error.get_exit_code() == 0 ? 0 : 2;
    line.text = message_of(app, error, argc, argv);
  }
  return line;
}

std::string what_was_checked(const CommandLine& line) {
  const Overrides& given = line.overrides;
  std::string flags;
  const auto add = [&flags](std::string_view flag, bool is_given) {
    if (is_given) (flags += flags.empty() ? "" : ", ") += flag;
  };
  add("--upstream", !given.upstream.empty());
  add("--listen", !given.listen.empty());
  add("--admin", !given.admin.empty());
  add("--redis", !given.redis.empty());
  add("--replica", !given.replicas.empty());
  add("--workers", given.workers != 0);
  const std::string more = flags.empty() ? "" : " and " + flags;
  if (!line.config_path.empty()) return "checked " + line.config_path + more;
  return "checked the defaults" + more + "; no file was read (name one: check-config FILE)";
}

}  // namespace pgrecall::config
