#include "pgrecall/upstream/reply_queue.h"

#include <algorithm>
#include <utility>

#include "pgrecall/base/assert.h"

namespace pgrecall::upstream {
namespace {

bool is_asynchronous(char type) {
  return type == 'N' || type == 'A' || type == 'S';
}

bool is_extended(Reply reply) {
  return reply == Reply::kParse || reply == Reply::kBind || reply == Reply::kDescribeStatement ||
         reply == Reply::kDescribePortal || reply == Reply::kExecute || reply == Reply::kClose;
}

bool ends_with_ready(Reply reply) {
  return reply == Reply::kQuery || reply == Reply::kFunctionCall || reply == Reply::kSync;
}

/// What a message other than an error or an asynchronous one does to the reply at the head.
enum class Effect : uint8_t { kPart, kEnd, kBad };

Effect effect_on(Reply reply, char type) {
  switch (reply) {
    case Reply::kParse:
      return type == '1' ? Effect::kEnd : Effect::kBad;
    case Reply::kBind:
      return type == '2' ? Effect::kEnd : Effect::kBad;
    case Reply::kClose:
      return type == '3' ? Effect::kEnd : Effect::kBad;
    case Reply::kDescribeStatement:
      if (type == 't') return Effect::kPart;
      [[fallthrough]];
    case Reply::kDescribePortal:
      return type == 'T' || type == 'n' ? Effect::kEnd : Effect::kBad;
    case Reply::kExecute:
      if (type == 'C' || type == 'I' || type == 's') return Effect::kEnd;
      return type == 'D' || type == 'G' || type == 'H' || type == 'W' || type == 'd' || type == 'c'
                 ? Effect::kPart
                 : Effect::kBad;
    case Reply::kSync:
      return type == 'Z' ? Effect::kEnd : Effect::kBad;
    case Reply::kQuery:
      if (type == 'Z') return Effect::kEnd;
      return std::string_view("TDCIGHWdc").find(type) != std::string_view::npos ? Effect::kPart
                                                                                : Effect::kBad;
    case Reply::kFunctionCall:
      if (type == 'Z') return Effect::kEnd;
      return type == 'V' ? Effect::kPart : Effect::kBad;
    default:
      return Effect::kBad;
  }
}

}  // namespace

bool ReplyQueue::owes_client() const {
  if (uncertain() && !unsynced_) return true;
  return std::any_of(expected_.begin(), expected_.end(), [](const Expected& expected) {
    return expected.route != Route::kSkip && expected.reply != Reply::kCopyEnd;
  });
}

bool ReplyQueue::owes_ready() const {
  if (uncertain() && !unsynced_) return true;
  return std::any_of(expected_.begin(), expected_.end(), [](const Expected& expected) {
    return expected.route == Route::kForward && ends_with_ready(expected.reply);
  });
}

void ReplyQueue::push(Reply reply, Route route, uint32_t note) {
  PGR_ASSERT(reply != Reply::kOwn && reply != Reply::kNothing);
  if (skipping_to_sync_ && reply != Reply::kSync) return;
  if (reply == Reply::kCopyEnd && expected_.empty()) return;
  if (copy_in_ && reply == Reply::kSync) {
    ++copy_syncs_;
    return;
  }
  if (reply == Reply::kSync)
    skipping_to_sync_ = unsynced_ = false;
  else
    unsynced_ = unsynced_ || is_extended(reply);
  expected_.push_back({reply, route, note, {}});
}

void ReplyQueue::push_own(std::string bytes, uint32_t note) {
  if (skipping_to_sync_) return;
  PGR_ASSERT(!expected_.empty());
  expected_.push_back({Reply::kOwn, Route::kForward, note, std::move(bytes)});
}

Step ReplyQueue::on_message(char type) {
  skip_copy_ends();
  Step step;
  if (is_asynchronous(type)) {
    // A notification is the client's, whatever we are doing with the connection.
    step.route = skipping() && type != 'A' ? Route::kSkip : Route::kForward;
    return step;
  }
  if (type == 'E') return error();
  if (type == 'Z' && surplus_ > 0 && (expected_.empty() || !takes_ready(expected_.front().reply))) {
    // After an error in copy mode the Syncs that the server would have ignored are answered if it
    // had not read them yet; a client on a direct connection sees that as well.
    --surplus_;
    if (expected_.empty()) skipping_to_sync_ = unsynced_ = false;
    return step;
  }
  if (expected_.empty()) {
    step.bad = true;
    return step;
  }
  const Expected& head = expected_.front();
  step.reply = head.reply;
  step.route = head.route;
  step.note = head.note;
  if (type == 'Z' && !takes_ready(head.reply)) {
    step.bad = true;
    return step;
  }
  switch (effect_on(head.reply, type)) {
    case Effect::kBad:
      step.bad = true;
      return step;
    case Effect::kPart:
      head_started_ = true;
      if (type == 'C') copy_syncs_ = 0;
      if (type == 'G' || type == 'W') begin_copy_in();
      return step;
    case Effect::kEnd:
      return finish(step);
  }
  return step;
}

/// A Query is never answered by ReadyForQuery alone.
bool ReplyQueue::takes_ready(Reply reply) const {
  if (reply == Reply::kQuery || reply == Reply::kFunctionCall) return head_started_;
  return reply == Reply::kSync;
}

Step ReplyQueue::finish(Step step) {
  step.completes = true;
  if (ends_with_ready(step.reply) || step.reply == Reply::kExecute) copy_in_ = false;
  // An answer to something sent after that error: all Syncs before it have been answered.
  if (step.reply != Reply::kSync) surplus_ = 0;
  if (step.reply == Reply::kExecute) copy_syncs_ = 0;
  head_started_ = false;
  expected_.pop_front();
  if (step.reply == Reply::kQuery || step.reply == Reply::kFunctionCall) {
    // It ended the implicit transaction of what was sent before it.
    unsynced_ = extended_behind_last_sync();
  }
  return step;
}

bool ReplyQueue::extended_behind_last_sync() const {
  for (auto it = expected_.rbegin(); it != expected_.rend() && it->reply != Reply::kSync; ++it) {
    if (is_extended(it->reply)) return true;
  }
  return false;
}

Step ReplyQueue::error() {
  Step step;
  copy_in_ = false;
  surplus_ += std::exchange(copy_syncs_, 0);
  if (expected_.empty()) return step;  // asynchronous: the server ends the connection
  const Expected& head = expected_.front();
  step.reply = head.reply;
  step.route = head.route == Route::kSkipNoError ? Route::kForward : head.route;
  step.note = head.note;
  head_started_ = true;
  if (!ends_with_ready(head.reply)) {
    step.completes = true;
    head_started_ = false;
    expected_.pop_front();
    drop_until_sync();
    skipping_to_sync_ = expected_.empty();
  }
  return step;
}

void ReplyQueue::drop_until_sync() {
  while (!expected_.empty() && expected_.front().reply != Reply::kSync) expected_.pop_front();
}

void ReplyQueue::begin_copy_in() {
  copy_in_ = true;
  // What was sent behind this Execute is read as part of the copy: Syncs up to the end of the data
  // are ignored by the server. After a simple Query there is nothing between.
  for (auto it = expected_.begin() + 1; it != expected_.end();) {
    if (it->reply == Reply::kCopyEnd) {
      copy_in_ = false;
      expected_.erase(it);
      return;
    }
    if (it->reply == Reply::kSync) {
      it = expected_.erase(it);
      ++copy_syncs_;
      unsynced_ = true;
    } else {
      ++it;
    }
  }
}

void ReplyQueue::skip_copy_ends() {
  while (!expected_.empty() && expected_.front().reply == Reply::kCopyEnd) expected_.pop_front();
}

bool ReplyQueue::take_own(std::string* bytes, uint32_t* note) {
  skip_copy_ends();
  if (expected_.empty() || expected_.front().reply != Reply::kOwn) return false;
  *bytes = std::move(expected_.front().own);
  *note = expected_.front().note;
  expected_.pop_front();
  return true;
}

void ReplyQueue::clear() {
  *this = ReplyQueue();
}

}  // namespace pgrecall::upstream
