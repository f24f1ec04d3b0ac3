#include "pgrecall/wire/error_fields.h"

#include "pgrecall/wire/byte_reader.h"

namespace pgrecall::wire {

namespace {

/// Calls `visit(code, value)` for each proper field until it returns false.
template <typename Visit>
void for_each_field(std::string_view payload, Visit visit) {
  ByteReader reader(payload);
  while (reader.remaining() > 0) {
    const char code = reader.character();
    const std::string_view value = code == '\0' ? reader.fail() : reader.text();
    if (!reader.ok() || !visit(code, value)) return;
  }
}

void set_once(std::string_view& field, std::string_view value) {
  if (field.data() == nullptr) field = value;
}

}  // namespace

ErrorFields read_error_fields(std::string_view payload) {
  ErrorFields fields;
  std::string_view translated;
  for_each_field(payload, [&](char code, std::string_view value) {
    switch (code) {
      case 'S':
        set_once(translated, value);
        break;
      case 'V':
        set_once(fields.severity, value);
        break;
      case 'C':
        set_once(fields.sqlstate, value);
        break;
      case 'M':
        set_once(fields.message, value);
        break;
      case 'D':
        set_once(fields.detail, value);
        break;
      case 'H':
        set_once(fields.hint, value);
        break;
      case 's':
        set_once(fields.schema, value);
        break;
      case 't':
        set_once(fields.table, value);
        break;
      case 'n':
        set_once(fields.constraint, value);
        break;
      default:
        break;
    }
    return true;
  });
  set_once(fields.severity, translated);
  return fields;
}

std::string_view read_sqlstate(std::string_view payload) {
  std::string_view sqlstate;
  for_each_field(payload, [&](char code, std::string_view value) {
    if (code == 'C') sqlstate = value;
    return code != 'C';
  });
  return sqlstate;
}

}  // namespace pgrecall::wire
