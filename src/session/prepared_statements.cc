#include "session/prepared_statements.h"

#include <utility>

namespace pgrecall::session {

std::shared_ptr<ClientStatement> PreparedStatements::find(std::string_view name) const {
  auto at = statements_.find(std::string(name));
  return at == statements_.end() ? nullptr : at->second;
}

void PreparedStatements::put(std::shared_ptr<ClientStatement> statement) {
  statements_[statement->name] = std::move(statement);
}

bool PreparedStatements::erase(std::string_view name) {
  return statements_.erase(std::string(name)) > 0;
}

void PreparedStatements::drop_unnamed() {
  if (!statements_.empty()) statements_.erase(std::string());
  if (!portals_.empty()) portals_.erase(std::string());
}

void PreparedStatements::drop_unconfirmed() {
  std::erase_if(statements_, [](const auto& entry) { return !entry.second->confirmed; });
}

std::shared_ptr<ClientPortal> PreparedStatements::portal(std::string_view name) const {
  auto at = portals_.find(std::string(name));
  return at == portals_.end() ? nullptr : at->second;
}

void PreparedStatements::put_portal(std::shared_ptr<ClientPortal> portal) {
  portals_[portal->name] = std::move(portal);
}

void PreparedStatements::erase_portal(std::string_view name) {
  portals_.erase(std::string(name));
}

}  // namespace pgrecall::session
