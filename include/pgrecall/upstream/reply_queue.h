// The expected-reply queue: what one server connection owes, in order, and who gets it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace pgrecall::upstream {

/// What a frontend message makes the server say ("Message Flow", protocol chapter of the manual).
enum class Reply : uint8_t {
  kNothing,            ///< no reply is expected: an asynchronous message
  kParse,              ///< ParseComplete
  kBind,               ///< BindComplete
  kDescribeStatement,  ///< ParameterDescription, then RowDescription or NoData
  kDescribePortal,     ///< RowDescription or NoData
  kExecute,            ///< rows, then CommandComplete, EmptyQueryResponse or PortalSuspended
  kClose,              ///< CloseComplete
  kSync,               ///< ReadyForQuery
  kQuery,              ///< anything, then ReadyForQuery
  kFunctionCall,       ///< FunctionCallResponse or an error, then ReadyForQuery
  kCopyEnd,            ///< CopyDone or CopyFail: no reply, but Syncs before it are not answered
  kOwn,                ///< bytes of ours, shown when their turn comes
};

/// Where the server's messages for one expected reply go.
enum class Route : uint8_t {
  kForward,      ///< to the client
  kSkip,         ///< swallowed: sent on our own account
  kSkipNoError,  ///< swallowed, but an ErrorResponse goes to the client (a replayed Parse)
};

/// What one server message meant.
struct Step {
  Reply reply = Reply::kNothing;
  Route route = Route::kForward;
  uint32_t note = 0;       ///< what `push` was given
  bool completes = false;  ///< this message was the last one of its expected reply
  bool bad = false;        ///< the server broke the protocol: the connection must end
};

/// One per server connection, one thread. Every byte to a client passes through it in order. After
/// an error in the extended protocol everything up to the next Sync is dropped, ours included,
/// because the server skips those messages too; what is pushed before that Sync is dropped as well.
class ReplyQueue {
 public:
  bool empty() const { return expected_.empty(); }
  size_t size() const { return expected_.size(); }

  /// True if the client waits for something that is in here.
  bool owes_client() const;
  /// True if the client waits for a ReadyForQuery: its unit is complete and not answered.
  bool owes_ready() const;

  void push(Reply reply, Route route, uint32_t note = 0);
  /// Only behind something that is owed: with an empty queue the caller writes at once, unless
  /// the server skips to Sync: then nothing of ours is shown either.
  void push_own(std::string bytes, uint32_t note = 0);

  /// The server discards everything up to the next Sync, Queries included.
  bool skipping_to_sync() const { return skipping_to_sync_; }
  /// Extended-protocol messages were sent and no Sync after them: their implicit transaction may
  /// be open even if nothing is owed.
  bool unsynced() const { return unsynced_; }
  /// ReadyForQuery may come that nobody waits for: see `on_message`. Until a whole round trip has
  /// shown that none comes, nobody else may use the connection.
  bool uncertain() const { return surplus_ > 0; }

  /// Takes the type byte of the server's next message. Call `take_own` afterwards until it says no.
  Step on_message(char type);
  /// True if bytes of ours are due now.
  bool take_own(std::string* bytes, uint32_t* note);

  /// The server waits for CopyData: between CopyInResponse and the CopyDone or CopyFail that the
  /// client sends, the server ignores Sync and Flush, and a Sync that is pushed is not expected.
  bool copy_in() const { return copy_in_; }
  void end_copy_in() { copy_in_ = false; }
  /// True if the head belongs to us: the client is not waiting for it.
  bool skipping() const { return !expected_.empty() && expected_.front().route != Route::kForward; }
  void clear();

 private:
  struct Expected {
    Reply reply;
    Route route;
    uint32_t note;
    std::string own;
  };

  Step error();
  Step finish(Step step);
  bool takes_ready(Reply reply) const;
  bool extended_behind_last_sync() const;
  void begin_copy_in();
  void drop_until_sync();
  void skip_copy_ends();

  std::deque<Expected> expected_;
  bool copy_in_ = false;
  bool skipping_to_sync_ = false;
  bool unsynced_ = false;
  bool head_started_ = false;  ///< something of the head's reply has arrived
  uint32_t copy_syncs_ = 0;    ///< Syncs that the server ignores if it reads them in copy mode
  uint32_t surplus_ = 0;       ///< of these, those that it may have read after an error
};

}  // namespace pgrecall::upstream
