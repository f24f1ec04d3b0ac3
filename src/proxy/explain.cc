#include "pgrecall/proxy/explain.h"

#include <memory>

#include "pgrecall/adapters/catalog_loader.h"
#include "pgrecall/net/thread.h"
#include "pgrecall/policy/rules.h"
#include "pgrecall/session/session_context.h"
#include "pgrecall/sql/canonical.h"
#include "pgrecall/sql/explain.h"

namespace pgrecall::proxy {
namespace {

struct Answer {
  std::string text;
  std::string error;
};

void append_rule(std::string& text, const config::Config& config, const std::string& database,
                 const sql::StatementAnalysis& analysis, const sql::Canonical& canonical,
                 const sql::Catalog& catalog) {
  auto rules = policy::RuleSet::compile(config);
  if (!rules.ok()) return;
  policy::RuleInput input;
  for (const auto* list : {&analysis.named, &analysis.reads}) {
    auto& names = list == &analysis.named ? input.named : input.reads;
    for (sql::Oid oid : *list) {
      const sql::Relation* relation = catalog.relation(oid);
      if (relation == nullptr) continue;
      const auto schema = catalog.schemas.find(relation->schema);
      names.push_back({schema == catalog.schemas.end() ? "" : schema->second, relation->name});
    }
  }
  input.shape = canonical.shape;
  input.user = config.upstream.user;
  input.database = database;
  const policy::Policy policy = rules.value()->policy_for(input);
  text += "rule: " + (policy.rule_name == nullptr ? "none" : *policy.rule_name) + "\n";
}

std::string no_server(const std::string& database, const Error& error) {
  return "explain needs a running server: it reads the catalog of database \"" + database +
         "\".\n" + error.message +
         "\nName another server with --upstream postgres://user:secret@host:5432/database or "
         "--config FILE.";
}

Answer explain_here(const config::Config& config, const std::string& database,
                    const std::string& sql_text) {
  adapters::ControlOptions options;
  options.host = config.upstream.host;
  options.port = config.upstream.port;
  options.user = config.upstream.user;
  options.password = config.upstream.password;
  options.database = database;
  auto connection = adapters::ControlConnection::connect(options);
  if (!connection.ok()) return {{}, no_server(database, connection.error())};
  auto catalog = adapters::load_catalog(connection.value());
  if (!catalog.ok()) return {{}, catalog.error().message};
  auto path = connection.value().exec(
      "SELECT setting FROM pg_catalog.pg_roles r, LATERAL (SELECT coalesce((SELECT "
      "split_part(c, '=', 2) FROM unnest(r.rolconfig) c WHERE c LIKE 'search_path=%'), "
      "'\"$user\", public') AS setting) s WHERE rolname = current_user");
  session::SessionContext context;
  context.role = config.upstream.user;
  context.search_path = path.ok() && !path->empty() && (*path)[0][0] ? *(*path)[0][0] : "public";
  const sql::ResolveScope scope = session::resolve_scope(context, *catalog.value());
  const sql::Canonical canonical = sql::canonicalize(sql_text);
  const auto parsed = sql::parse(sql_text, {config.limits.parse_bytes, config.limits.parse_depth});
  std::string text;
  for (const auto& analysis : sql::resolve(*parsed, catalog.value().get(), scope)) {
    if (!text.empty()) text += "\n";
    text += sql::explain_analysis(analysis, catalog.value().get());
    append_rule(text, config, database, analysis, canonical, *catalog.value());
  }
  if (canonical.ok) text += "key shape: " + canonical.shape + "\n";
  if (canonical.has_clock_word) {
    text += "a literal may be read as a moving date (now, today ...): never cached\n";
  }
  return {text, {}};
}

}  // namespace

Result<std::string> explain(const config::Config& config, const std::string& database,
                            const std::string& sql_text) {
  Answer answer;
  auto thread = net::start_thread("explain", net::kParserStackBytes,
                                  [&] { answer = explain_here(config, database, sql_text); });
  if (!thread.ok()) return thread.error();
  thread.value().join();
  if (!answer.error.empty()) return Error{answer.error, ""};
  return answer.text;
}

}  // namespace pgrecall::proxy
