// SessionObjects: what SQL made that lives on the client's server connection, as far as its text is
// needed to show that using it is harmless.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/session/session_context.h"
#include "pgrecall/session/statement_memo.h"

namespace pgrecall::session {

/// One per session. Bounded: what does not fit is not known, and what is not known pins.
///
/// A *plain* relation is a temporary one that nobody can have given code to run: reading it is
/// harmless. Names are as in the canonical shape: unquoted and folded.
class SessionObjects {
 public:
  /// What a statement that creates something temporary made.
  enum class Created : uint8_t {
    kUnknown,  ///< not understood: anything
    kPlain,    ///< a plain relation, or a sequence
    kView      ///< plain if its query is harmless: `statement_after_as`
  };
  Created create(const TextEntry& entry, const sql::Catalog* catalog);
  /// Another definition. False if it may have given code to a plain relation.
  bool define(const TextEntry& entry);
  void end_transaction(bool committed);
  void roll_back_to();
  const std::vector<std::string>& plain() const { return plain_; }

  /// SQL PREPARE.
  void prepare(const std::string& name, std::shared_ptr<TextEntry> statement);
  /// It is of a statement that is no SELECT.
  void prepare_other(const std::string& name);
  void deallocate(const std::string& name);  ///< empty: all
  /// The statement that an EXECUTE runs; null if it is not known.
  std::shared_ptr<TextEntry> prepared(const std::string& name) const;
  /// For the statistics: nothing shows that an EXECUTE of it is no read.
  bool may_read(const std::string& name) const { return !prepared_others_.contains(name); }

  void discard_temporary();
  void clear();

 private:
  static constexpr size_t kMax = 32;
  static constexpr size_t kOthersMax = 1000;
  struct State {
    bool settled = false;  ///< its transaction has committed
    bool drops_on_commit = false;
  };
  std::vector<std::string> plain_;
  std::vector<State> states_;  ///< of `plain_`
  std::map<std::string, std::shared_ptr<TextEntry>> prepared_;
  std::set<std::string> prepared_others_;

  template <typename Predicate>
  void erase_plain(Predicate gone);
};

/// The query of CREATE VIEW, the statement of PREPARE: what follows the first AS outside
/// parentheses. Empty if it cannot be told.
std::string_view statement_after_as(std::string_view text);

/// True if the arguments of this EXECUTE are constants.
bool declares_only_built_in_types(const TextEntry& prepare);
bool has_constant_arguments(const TextEntry& execute);

/// `text`, a SELECT, reading constants where it reads the relations of these names: it runs what
/// the original runs besides reading them.
std::string without_relations(std::string_view text, const std::vector<std::string>& names);

}  // namespace pgrecall::session
