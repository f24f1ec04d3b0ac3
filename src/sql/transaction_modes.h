// The modes of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS.
#pragma once

#include <optional>
#include <string_view>

#include "pgrecall/sql/statement_analysis.h"
#include "sql/tree.h"

namespace pgrecall::sql {

struct TransactionModes {
  Isolation isolation = Isolation::kUnspecified;
  std::optional<bool> read_only;
  std::optional<bool> deferrable;

  /// `option` is a DefElem of the grammar's transaction_mode_list.
  void add(const Node* option);
};

/// By its name as in `SET transaction_isolation`, in lower case.
Isolation isolation_of(std::string_view name);

}  // namespace pgrecall::sql
