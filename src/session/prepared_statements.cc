#include "session/prepared_statements.h"

#include <algorithm>
#include <utility>

namespace pgrecall::session {
namespace {

/// PostgreSQL looks names up by their first 63 bytes (NAMEDATALEN).
std::string look_up_name(std::string_view name) {
  return std::string(name.substr(0, 63));
}

/// What standard_conforming_strings and client_encoding decide about.
bool has_special_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c == '\\' || (c & 0x80) != 0; });
}

template <typename Predicate>
bool any_user_type(std::string_view types, Predicate holds) {
  for (size_t at = 0; at + 4 <= types.size(); at += 4) {
    sql::Oid oid = 0;
    for (size_t i = 0; i < 4; ++i) oid = oid << 8 | static_cast<unsigned char>(types[at + i]);
    if (oid >= sql::kFirstNormalOid && holds(oid)) return true;
  }
  return false;
}

/// A domain, or something that may contain one.
bool may_check(sql::Oid oid, const sql::Catalog* catalog) {
  for (int depth = 0; catalog != nullptr && depth < 4; ++depth) {
    if (oid < sql::kFirstNormalOid) return false;
    const auto found = catalog->types.find(oid);
    if (found == catalog->types.end()) return true;
    const sql::Type& type = found->second;
    if (type.kind != 'b' && type.kind != 'e') return true;
    if (type.element == sql::kInvalidOid) return false;
    oid = type.element;
  }
  return true;
}

}  // namespace

bool ClientStatement::scanned_specially() const {
  return !(context->standard_strings && context->utf8) && has_special_bytes(sql);
}

bool ClientStatement::has_user_types() const {
  return any_user_type(types, [](sql::Oid) { return true; });
}

bool ClientStatement::checks_parameters(const sql::Catalog* catalog) const {
  return any_user_type(types, [&](sql::Oid oid) { return may_check(oid, catalog); });
}

bool ClientStatement::scans_alike(const SessionContext& now) const {
  const bool alike = context->standard_strings == now.standard_strings && context->utf8 && now.utf8;
  return alike || context->id == now.id || !has_special_bytes(sql);
}

bool names_alike(const SessionContext& a, const SessionContext& b) {
  return a.id == b.id ||
         (a.search_path == b.search_path && a.role == b.role && a.session_role == b.session_role);
}

std::shared_ptr<ClientStatement> PreparedStatements::find(std::string_view name) const {
  auto at = statements_.find(look_up_name(name));
  return at == statements_.end() ? nullptr : at->second;
}

void PreparedStatements::put(std::shared_ptr<ClientStatement> statement) {
  statements_[look_up_name(statement->name)] = std::move(statement);
}

bool PreparedStatements::erase(std::string_view name) {
  return statements_.erase(look_up_name(name)) > 0;
}

void PreparedStatements::begin_deallocate(std::string_view name) {
  if (const auto statement = name.empty() ? nullptr : find(name)) statement->deallocated = true;
  for (const auto& [key, statement] : statements_) {
    if (name.empty() && !key.empty()) statement->deallocated = true;
  }
}

void PreparedStatements::deallocate(std::string_view name) {
  if (!name.empty()) {
    erase(name);
    return;
  }
  std::erase_if(statements_, [](const auto& entry) { return !entry.first.empty(); });
}

void PreparedStatements::undo_deallocate() {
  for (const auto& [name, statement] : statements_) statement->deallocated = false;
}

void PreparedStatements::drop_unnamed() {
  if (!statements_.empty()) statements_.erase(std::string());
  if (!portals_.empty()) portals_.erase(std::string());
}

void PreparedStatements::drop_unconfirmed() {
  std::erase_if(statements_, [](const auto& entry) { return !entry.second->confirmed; });
}

bool PreparedStatements::holds_connection() const {
  return std::any_of(statements_.begin(), statements_.end(), [](const auto& entry) {
    return entry.second->direct || entry.second->scanned_specially();
  });
}

std::string PreparedStatements::client_name(std::string_view server_name) const {
  for (const auto& [name, statement] : statements_) {
    if (statement->server_name() == server_name) return statement->name;
  }
  return std::string(server_name);
}

std::shared_ptr<ClientPortal> PreparedStatements::portal(std::string_view name) const {
  auto at = portals_.find(look_up_name(name));
  return at == portals_.end() ? nullptr : at->second;
}

void PreparedStatements::put_portal(std::shared_ptr<ClientPortal> portal) {
  portals_[look_up_name(portal->name)] = std::move(portal);
}

void PreparedStatements::erase_portal(std::string_view name) {
  portals_.erase(look_up_name(name));
}

}  // namespace pgrecall::session
