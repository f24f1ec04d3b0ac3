// SessionCore: the state of one client that all phases of its session share.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgrecall/session/session_host.h"
#include "pgrecall/session/tracked_writes.h"
#include "session/session_objects.h"
#include "session/settings_state.h"

namespace pgrecall::session {

/// What handling one client message came to.
enum class Progress : uint8_t {
  kDone,     ///< consumed
  kBlocked,  ///< not consumed: to be handled again when something happens
  kClosed,   ///< the session is ending
};

class PreparedStatements;

/// A pin beside those of sql::SessionEffect: see `SessionCore::unproved`.
constexpr uint32_t kUnproved = 1U << 31;

/// Part of the ClientSession, which owns it.
struct SessionCore {
  SessionCore(WorkerContext& worker_context, ClientSession& owner)
      : worker(worker_context), session(owner) {}

  WorkerContext& worker;
  ClientSession& session;
  SlotId session_id;
  std::string output;

  // Who: fixed after start-up.
  std::string user;
  std::string database_name;
  upstream::Pool* pool = nullptr;
  DatabaseState* database = nullptr;

  // The lease.
  upstream::ServerConnection* server = nullptr;
  /// For us, not logged in yet. Never beside `server`: it would be forgotten at the session's end.
  upstream::ServerConnection* opening = nullptr;
  bool waiting = false;      ///< for a lease
  bool setting_up = false;   ///< the settings have been sent to the server and not confirmed
  bool left_unread = false;  ///< replies were dropped because the session was ending
  size_t part_left = 0;      ///< of a server's message that is relayed in parts
  bool mid_message = false;  ///< a part of a CopyData message has been sent: the rest must follow
  uint32_t pins = 0;         ///< SessionEffect bits that keep the lease
  bool review_due = false;   ///< the server is to be asked what `pins` still stands for
  bool reviewing = false;    ///< the server has been asked, and has not answered
  /// After opaque code: the catalog under which the server said that names are what they were.
  uint64_t names_known_in = 0;
  SessionObjects objects;
  /// A statement under `kUnproved`: what it does to the session was not known from its plan. A
  /// newer catalog, or what is known of `objects`, may show that it is nothing.
  struct Unproved {
    std::shared_ptr<TextEntry> entry;
    std::shared_ptr<const SessionContext> context;
    uint64_t version = 0;            ///< the catalog that did not suffice; 0: none was tried
    std::vector<std::string> plain;  ///< the plain temporary relations of its time
    bool tried = false;              ///< also with these
    bool inner = false;  ///< ran inside another statement, which was all that was accounted for
    friend bool operator==(const Unproved&, const Unproved&) = default;
  };
  std::vector<Unproved> unproved;

  // Settings and what follows from them.
  SettingsState settings;
  std::shared_ptr<const upstream::Baseline> baseline;
  std::shared_ptr<const SessionContext> context;
  upstream::ParameterStatuses shown_parameters;  ///< what the client was last told
  upstream::ParameterStatuses login_parameters;  ///< as of the login: RESET returns to them

  // The transaction as the client sees it.
  char status = 'I';                ///< of the last ReadyForQuery
  bool snapshot_isolation = false;  ///< REPEATABLE READ or SERIALIZABLE: no cache
  std::vector<std::string> lazy;    ///< BEGIN and what followed it, not yet sent
  bool read_locally = false;        ///< a hit was served in this transaction

  PreparedStatements* prepared = nullptr;  ///< owned by the ClientSession
  bool closing = false;
  bool cancel_due = false;   ///< to be sent once the server is at what the client asked
  bool cancelled = false;    ///< a CancelRequest came while the client waited for another's answer
  bool output_full = false;  ///< the client does not take what is there: handle nothing more

  TrackedWrites* writes() {
    return server == nullptr ? nullptr : static_cast<TrackedWrites*>(server->observer.get());
  }
  /// Something from the server is still owed to this client.
  bool owed() const { return server != nullptr && server->queue().owes_client(); }
  char visible_status() const { return lazy.empty() ? status : 'T'; }
  bool in_transaction() const { return visible_status() != 'I'; }

  /// Opaque code ran on the connection, and not every trace of it is gone.
  bool ran_opaque_code() const { return (pins & (sql::kSessionUnknown | kUnproved)) != 0; }
  Names names() const;
  bool awaits_names() const { return reviewing && names() == Names::kHidden; }

  /// FETCH from a portal of the protocol, which counts only when it is executed.
  bool fetches_portal(const Plan& plan) const;
  /// PREPARE of a text whose analysis at the server may run code.
  bool prepares_code(const Plan& plan, const std::shared_ptr<TextEntry>& entry);
  /// A text that is not parsed: the catalog does not know the row types of temporary tables, which
  /// opaque code may have made as well.
  bool may_name_temporary_types(const Plan& plan) const {
    return plan.analysis.kind == sql::StatementKind::kUnparsed &&
           ((pins & sql::kSessionTemporary) != 0 || ran_opaque_code());
  }
  /// Ends settings that decide what follows means.
  bool ends_meaning(const Plan& plan) const;

  void flush() { worker.host.flush_later(session); }
  /// An ErrorResponse of our own, without ReadyForQuery.
  void error(std::string_view severity, std::string_view sqlstate, std::string_view message,
             std::string_view detail = {}, std::string_view hint = {});
  /// As `error` with FATAL, and the connection ends.
  void fatal(std::string_view sqlstate, std::string_view message, std::string_view hint = {});

  /// Ends the connection without a word, as PostgreSQL does where the stream makes no sense.
  void hang_up();

  /// A server connection is there, with this client's settings confirmed.
  bool set_up() const {
    return server != nullptr && !setting_up && settings_fit() && !must_renew();
  }
  /// The server has read its configuration again since `baseline` was: names, texts and isolation
  /// may not be what `context` says.
  bool outdated() const {
    return baseline->configuration != worker.shared.databases.port().configuration();
  }
  /// Then what is kept between transactions is inspected again before its next use.
  bool must_renew() const;
  /// In a failed transaction nothing can be set, and what was changed is taken back at its end.
  bool settings_fit() const { return settings.synchronised() || status == 'E'; }
  /// Makes `set_up` true, or false for now: then the session goes on when it is.
  bool ensure_lease();
  void send_settings();
  void settings_confirmed();
  /// Takes a connection over: its baseline, parameters and settings.
  void adopt(upstream::ServerConnection& leased);
  /// Sends what has to precede the client's next statement: settings, a pending BEGIN.
  void prepare_server();
  /// Gives the lease back if nothing holds it.
  void release_if_idle();
  void forget_server();
  void abandon_opening();
  /// Makes `context` anew if a setting changed.
  void refresh_context();
  void show_parameter_changes();
  /// After a RESET: shows the values of the start-up packet, which the server is going to get
  /// again.
  void show_restored_parameters();
  bool opens_lazily() const;
  /// A statement whose effects on the session are not known has completed.
  void note_unproved(const Plan& plan, std::shared_ptr<TextEntry> entry);
  /// The statement of `plan` out of a text of several.
  std::shared_ptr<TextEntry> alone(const Plan& plan, const std::shared_ptr<TextEntry>& entry);
  /// A temporary view was created; `plain`: what its query may have read.
  void note_view(const TextEntry& create);
  /// Opaque code ran: nothing but DISCARD ALL lifts this.
  void pin_as_unknown();
  void doubt_names();
  /// Looks at the unproved statements again if that may show more.
  void prove_again();
  bool is_harmless(const Unproved& statement);
  /// False if an EXECUTE of this name is known to run no SELECT. `plans` is what it runs, or null.
  bool executes_read(const std::string& name, std::shared_ptr<const PlanSet>* plans);
  /// The statement that an EXECUTE ran; null if that is not known.
  std::shared_ptr<TextEntry> executed(const Plan& plan, const TextEntry& execute);
};

}  // namespace pgrecall::session
