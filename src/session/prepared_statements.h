// PreparedStatements: the statements and portals of one client, by the client's names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "session/session_core.h"

namespace pgrecall::session {

/// A Parse of the client. On servers it goes by `server_name`, shared by all clients that sent the
/// same text and parameter types; the unnamed statement stays unnamed.
struct ClientStatement {
  std::string name;
  std::string sql;
  std::string types;  ///< parameter type oids as sent
  uint64_t id = 0;
  std::shared_ptr<const SessionContext> context;  ///< it was parsed in
  std::shared_ptr<TextEntry> entry;
  bool confirmed = false;  ///< the server (or a hit) has accepted the Parse
  /// On the (pinned) server it goes by the client's own name, where SQL commands find it.
  bool direct = false;
  /// A DEALLOCATE of it has been sent: what comes behind that must not find it.
  bool deallocated = false;

  std::string server_name() const {
    return name.empty() || direct ? name : "pgr_" + std::to_string(id);
  }
  /// Whether the server's scanner reads this text in its own way under settings that few clients
  /// have: it must then stay where it was parsed.
  bool scanned_specially() const;
  /// A parameter was declared of a type of users, whose input may run their code.
  bool has_user_types() const;
  /// As above, with what `catalog` knows of these types: domains check, others are believed.
  bool checks_parameters(const sql::Catalog* catalog) const;
  /// Whether another Parse, in `now`, would be of the same words.
  bool scans_alike(const SessionContext& now) const;
};

/// A Bind of the client.
struct ClientPortal {
  std::string name;
  std::shared_ptr<ClientStatement> statement;     ///< null: one that only the server knows
  std::shared_ptr<const SessionContext> context;  ///< of the Bind; null: not sent yet
  std::string tail;                      ///< parameter formats and values, result formats, as sent
  bool parameters_may_be_clock = false;  ///< a text value may be read as a moving date
  bool may_read = true;                  ///< as far as is known without `statement`
  bool on_server = false;
  bool answered = false;  ///< executed to its end by a hit: the server has not seen it
};

/// The same names lead to the same objects under both.
bool names_alike(const SessionContext& a, const SessionContext& b);

/// One per session.
class PreparedStatements {
 public:
  std::shared_ptr<ClientStatement> find(std::string_view name) const;
  void put(std::shared_ptr<ClientStatement> statement);
  bool erase(std::string_view name);
  /// DEALLOCATE of a name (empty: ALL) is about to be sent, has succeeded, or came to nothing.
  void begin_deallocate(std::string_view name);
  void deallocate(std::string_view name);
  void undo_deallocate();
  void clear() { statements_.clear(); }
  void drop_unnamed();
  /// After the end of a unit: a Parse that failed or was skipped leaves nothing.
  void drop_unconfirmed();
  size_t size() const { return statements_.size(); }
  /// What the client calls the statement that goes by this name on servers; the name itself if it
  /// is none of ours.
  std::string client_name(std::string_view server_name) const;

  std::shared_ptr<ClientPortal> portal(std::string_view name) const;
  void put_portal(std::shared_ptr<ClientPortal> portal);
  void erase_portal(std::string_view name);
  void clear_portals() { portals_.clear(); }
  /// One of them must stay on the server connection where it is.
  bool holds_connection() const;
  size_t portals() const { return portals_.size(); }

 private:
  std::unordered_map<std::string, std::shared_ptr<ClientStatement>> statements_;
  std::unordered_map<std::string, std::shared_ptr<ClientPortal>> portals_;
};

}  // namespace pgrecall::session
