// SimpleQuery: the Query message.
#pragma once

#include <memory>
#include <string_view>

#include "pgrecall/wire/frame.h"
#include "session/read_path.h"
#include "session/session_core.h"
#include "session/transaction.h"

namespace pgrecall::session {

class ExtendedQuery;

/// One per session. At most one Query is in flight; the next waits for its ReadyForQuery.
class SimpleQuery {
 public:
  SimpleQuery(SessionCore& core, ReadPath& reads, Transaction& transaction, ExtendedQuery& extended)
      : core_(core), reads_(reads), transaction_(transaction), extended_(extended) {}

  /// `in_unit`: behind extended-protocol messages without a Sync: forwarded at once.
  Progress handle(const wire::Frame& frame, bool in_unit);

  /// A reply to the Query in flight; the caller forwards it.
  void on_reply(const wire::Frame& frame);
  /// Its ReadyForQuery.
  void on_ready();
  bool recording() const { return recording_; }

 private:
  std::shared_ptr<const PlanSet> judged(const std::shared_ptr<TextEntry>& entry,
                                        std::shared_ptr<const PlanSet> plans) const;
  Progress forward(const wire::Frame& frame, const std::shared_ptr<TextEntry>& entry,
                   std::shared_ptr<const PlanSet> plans, bool miss, const ReadRequest& request);
  Progress answer_cancelled();
  bool answer_count(const Plan& plan);
  bool answer_deallocate(const Plan& plan);
  void serve();

  SessionCore& core_;
  ReadPath& reads_;
  Transaction& transaction_;
  ExtendedQuery& extended_;
  std::shared_ptr<TextEntry> entry_;  ///< of the Query in flight
  std::shared_ptr<const PlanSet> plans_;
  size_t next_statement_ = 0;
  bool clock_started_ = false;
  bool drops_unnamed_ = false;  ///< once the server has begun to answer
  bool recording_ = false;      ///< the answer of the Query in flight is a fill
};

}  // namespace pgrecall::session
