// Facts: what the walk of one statement, its views and its policies has found so far.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/sql/statement_analysis.h"

namespace pgrecall::sql {

/// Only ever grows worse. Lives for one statement on one thread.
class Facts {
 public:
  std::vector<Oid> reads;
  std::vector<Oid> policy_reads;
  std::vector<Oid> named;
  std::vector<Oid> schemas;
  std::vector<Oid> writes;
  BypassReason reason = BypassReason::kNoBypass;
  std::string detail;
  uint32_t session_effects = kSessionNothing;
  bool writes_something = false;  ///< contains INSERT, UPDATE, DELETE or MERGE
  bool opaque = false;            ///< may write what is not in `writes`
  bool runs_code = false;         ///< of these, what is known to run code or to set something
  bool cluster = false;
  bool locks = false;
  bool uses_clock = false;
  bool reads_custom_settings = false;
  bool on_conflict_do_nothing = false;

  /// Not cacheable. The first reason counts, but an unlogged table only if there is no other one:
  /// a rule may lift it.
  void refuse(BypassReason why, std::string_view what) {
    if (reason != BypassReason::kNoBypass && reason != BypassReason::kUnloggedTable) return;
    if (reason == why) return;
    reason = why;
    detail = what;
  }

  /// May write anything, and may leave anything on its connection. The first cause is kept.
  void make_opaque(std::string_view cause) {
    if (!opaque && detail.empty()) detail = cause;
    opaque = true;
    session_effects |= kSessionUnknown;
  }

  Effect effect() const {
    if (cluster) return Effect::kCluster;
    if (opaque) return Effect::kOpaque;
    // A write that sets something only the server knows: names that follow may mean others.
    if (writes_something && (session_effects & kSessionUnknown) != 0) return Effect::kOpaque;
    return writes_something ? Effect::kWrites : Effect::kNone;
  }
};

/// Small sets of oids: append now, sort once at the end.
void add_unique(std::vector<Oid>& oids, Oid oid);
void sort_unique(std::vector<Oid>& oids);
bool is_listed(const std::vector<Oid>& oids, Oid oid);

}  // namespace pgrecall::sql
