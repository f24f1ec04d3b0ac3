#include "session/refusal.h"

#include <algorithm>
#include <array>

#include "pgrecall/wire/backend.h"

namespace pgrecall::session {
namespace {

using sql::StatementKind;

/// Where the error came from. Every error that reaches the client out of a function's SQL, be it
/// PL/pgSQL, an SQL function (inlined or not), DO or SPI, carries a context or the inner query.
struct Origin {
  bool known = false;
  bool inner = false;     ///< raised inside a function, or while some text of it was read
  bool position = false;  ///< points into the text that the client sent
  std::string_view sqlstate;
  std::string_view file;
  std::string_view routine;
};

Origin origin_of(std::string_view payload) {
  Origin origin;
  const auto error = wire::ErrorResponse::decode(payload);
  if (!error) return origin;
  origin.known = true;
  for (const wire::ErrorField& field : error->fields) {
    switch (field.code) {
      case 'W':
      case 'q':
        origin.inner = true;
        break;
      case 'P':
        origin.position = true;
        break;
      case 'C':
        origin.sqlstate = field.value;
        break;
      case 'F':
        origin.file = field.value;
        break;
      case 'R':
        origin.routine = field.value;
        break;
      default:
        break;
    }
  }
  return origin;
}

bool raw_parser(const Origin& origin) {
  return origin.known && !origin.inner && origin.sqlstate == "42601" &&
         origin.routine == "scanner_yyerror";
}

/// A file of src/backend/parser, or the look-up of names for it. These also run at run time (text
/// to regtype, to regclass), but then without a position.
bool parser_file(std::string_view file) {
  constexpr auto kFiles =
      std::to_array<std::string_view>({"analyze.c", "gram.y", "namespace.c", "parser.c", "scan.l"});
  return file.starts_with("parse_") ||
         std::find(kFiles.begin(), kFiles.end(), file) != kFiles.end();
}

/// Statements that PostgreSQL analyses as a whole before it executes any of it. Not EXECUTE, whose
/// plan may be made anew after its parameters were computed; not DDL, which event triggers precede.
bool analysed_first(StatementKind kind) {
  switch (kind) {
    case StatementKind::kSelect:
    case StatementKind::kInsert:
    case StatementKind::kUpdate:
    case StatementKind::kDelete:
    case StatementKind::kMerge:
    case StatementKind::kDeclareCursor:
    case StatementKind::kCall:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_raw_parser_error(std::string_view payload) {
  return raw_parser(origin_of(payload));
}

Refusal refusal(const Plan& plan, std::string_view payload) {
  const Origin origin = origin_of(payload);
  if (!origin.known || origin.inner) return Refusal::kNotProved;
  const StatementKind kind = plan.analysis.kind;
  // Of other kinds, a part of their text can be what cannot be parsed: the body of a function.
  const bool text = kind == StatementKind::kUnparsed
                        ? plan.analysis.reason == sql::BypassReason::kUnparsed
                        : analysed_first(kind) || kind == StatementKind::kExecute;
  if (raw_parser(origin) && text) return Refusal::kUnread;
  if (kind == StatementKind::kExecute) {
    const bool unknown = origin.sqlstate == "26000" && origin.routine == "FetchPreparedStatement";
    return unknown ? Refusal::kUnread : Refusal::kNotProved;
  }
  const bool analysed = analysed_first(kind) && origin.position && parser_file(origin.file);
  return analysed ? Refusal::kInAnalysis : Refusal::kNotProved;
}

bool refused_unknown_portal(std::string_view payload) {
  const Origin origin = origin_of(payload);
  return origin.known && !origin.inner && origin.sqlstate == "34000" &&
         origin.routine == "exec_execute_message";
}

bool shows_changed_result(std::string_view payload) {
  const Origin origin = origin_of(payload);
  return origin.sqlstate == "0A000" && origin.routine == "RevalidateCachedQuery";
}

}  // namespace pgrecall::session
