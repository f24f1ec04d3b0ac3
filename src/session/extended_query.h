// ExtendedQuery: Parse, Bind, Describe, Execute, Close, Flush, Sync.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "pgrecall/base/queue.h"
#include "pgrecall/wire/frame.h"
#include "session/prepared_statements.h"
#include "session/read_path.h"
#include "session/session_core.h"
#include "session/transaction.h"

namespace pgrecall::session {

/// One per session. A *unit* is what the client sends up to its Sync. Its messages are held back
/// until something needs the server (an Execute that is no hit, a Flush, the Sync): if everything
/// held back can be answered here, it is, and the server never sees it. After the Sync the next
/// unit waits for ReadyForQuery.
class ExtendedQuery {
 public:
  ExtendedQuery(SessionCore& core, ReadPath& reads, Transaction& transaction)
      : core_(core), reads_(reads), transaction_(transaction) {}

  Progress handle(const wire::Frame& frame);
  /// Before a Query or FunctionCall inside an unfinished unit.
  Progress flush_before_query();
  /// Before SQL that names a prepared statement (EXECUTE, DEALLOCATE): puts the client's
  /// statement of that name on the server under the client's name, and pins.
  void expose(const Plan& plan, const TextEntry& entry, bool in_unit);
  /// The open unit has executed what changes the meaning of names.
  bool meaning_changed() const { return meaning_changed_; }
  bool unit_open() const { return on_server_ || !held_.empty() || unsynced(); }

  void on_reply(const upstream::Step& step, const wire::Frame& frame, std::string* rewritten);
  void on_own_reply(uint32_t note);
  void on_ready();
  void on_lost();
  bool recording() const { return !executing_.empty() && executing_.front().recorded; }

  static constexpr uint32_t kParseNote = 1;
  static constexpr uint32_t kFillNote = 2;
  static constexpr uint32_t kCloseNote = 3;
  static constexpr uint32_t kOpaqueBindNote = 4;

 private:
  struct Held {
    char type = 0;
    std::string bytes;
    std::shared_ptr<ClientStatement> statement;  ///< Parse: the new one; Bind, Describe, Close
    std::shared_ptr<ClientStatement> clash;      ///< Parse: the name is taken by this one
    std::shared_ptr<ClientPortal> portal;        ///< Bind, Describe, Close of a portal
    char kind = 0;                               ///< Describe and Close: 'S' or 'P'
    bool malformed = false;                      ///< for the server to refuse
  };

  Progress parse(const wire::Frame& frame);
  Progress bind(const wire::Frame& frame);
  Progress describe(const wire::Frame& frame);
  Progress close(const wire::Frame& frame);
  Progress execute(const wire::Frame& frame);
  Progress sync(const wire::Frame& frame);
  Progress flush_message();
  Progress hold_malformed(const wire::Frame& frame);

  const std::shared_ptr<const PlanSet>& plans_of(ClientStatement& statement);
  bool can_answer_held(const ClientPortal& portal) const;
  bool needs_description() const;
  void answer_held(const cache::CachedResult& result);
  bool answer_count(const Plan& plan, ClientPortal& portal);
  void serve(ClientPortal& portal, const Plan& plan);
  Verdict decide(const ClientPortal& portal, int32_t max_rows, ReadRequest* request);
  bool means_what_it_says(const ClientPortal& portal, const PlanSet& plans) const;
  Progress forward_execute(const wire::Frame& frame, const std::shared_ptr<ClientPortal>& portal,
                           bool miss, const ReadRequest& request);

  /// The server has messages without a Sync behind them: also after a Sync that a COPY has read.
  bool unsynced() const { return core_.server != nullptr && core_.server->queue().unsynced(); }
  bool ready_to_send(bool* blocked);
  /// A Bind whose planning may run code of users.
  struct Binding {
    std::shared_ptr<const PlanSet> plans;
    std::shared_ptr<TextEntry> entry;
  };
  void expose(const std::string& name, bool in_unit);
  static bool runs_code(const Plan& plan);
  bool may_name_temporary_types(const Plan& plan) const;
  bool is_doubtful(const ClientStatement& statement, const Plan& plan, bool binds) const;
  bool before_analysis(ClientStatement& statement, bool binds);
  Plan unknown_plan() const;
  bool binds_opaquely(ClientStatement& statement);
  void bound();
  void send_held(bool fill);
  void send_malformed(const Held& held);
  std::string put_placeholder();
  void send_parse(Held& held);
  void send_bind(Held& held);
  void send_named(Held& held, bool fill);
  void ensure_statement(ClientStatement& statement);
  void refuse_other_words(const ClientStatement& statement);
  void make_room(uint64_t id);
  void hide_unnamed();
  void restore_unnamed();
  void hide_unnamed_portal(std::string_view message);
  void ensure_portal(ClientPortal& portal);
  void own_reply(std::string bytes, uint32_t note);
  void goes_on();  ///< after what dropped all statements
  void execute_failed(std::string_view error);
  void rewrite_error(const upstream::Step& step, const wire::Frame& frame, std::string* rewritten);
  void hold(const wire::Frame& frame, Held held);
  void drop_held();
  bool too_much_held(char next) const;

  SessionCore& core_;
  ReadPath& reads_;
  Transaction& transaction_;
  std::vector<Held> held_;
  size_t held_bytes_ = 0;
  bool on_server_ = false;  ///< something of this unit has been sent
  bool failed_ = false;     ///< the server reported an error in this unit
  Queue<std::shared_ptr<ClientStatement>> parsing_;
  struct Executing {
    std::shared_ptr<const PlanSet> plans;  ///< null: of a portal we do not know
    std::shared_ptr<TextEntry> entry;
    bool recorded = false;
  };
  Queue<Executing> executing_;
  Queue<std::shared_ptr<ClientStatement>> closed_;          ///< Closes not yet confirmed
  std::vector<std::shared_ptr<ClientStatement>> replaced_;  ///< by a Parse of the unnamed one
  bool unnamed_failed_ = false;                             ///< the Parse that failed was unnamed
  bool meaning_changed_ = false;  ///< of names, by what this unit has executed so far
  bool makes_temporary_ = false;  ///< relations, by what this unit has executed so far
  Queue<Binding> binding_;        ///< of `kOpaqueBindNote`, not answered
  std::unordered_set<std::string> touched_portals_;  ///< named ones, bound or closed in this unit
  std::vector<uint64_t> sent_statements_;  ///< parsed or closed under names of ours in this unit
  std::string key_;
  bool clock_started_ = false;
  bool drops_statements_ = false;  ///< DISCARD ALL or DEALLOCATE ALL is under way
};

}  // namespace pgrecall::session
