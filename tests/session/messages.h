// Frontend messages in a few letters, to be added up: parse("", "select ...") + bind() + execute().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/wire/big_endian.h"
#include "pgrecall/wire/builder.h"

namespace pgrecall::session::testing {

inline std::string startup(const std::map<std::string, std::string>& parameters,
                           uint32_t version = wire::kProtocol30) {
  const std::vector<wire::Parameter> list(parameters.begin(), parameters.end());
  std::string out;
  wire::append_startup(out, version, list);
  return out;
}
inline std::string query(std::string_view sql) {
  std::string out;
  wire::append_query(out, sql);
  return out;
}
inline std::string parse(std::string_view name, std::string_view sql,
                         const std::vector<uint32_t>& types = {}) {
  std::string out;
  wire::append_parse(out, name, sql, types);
  return out;
}
struct BindOptions {
  std::vector<std::string> parameters;
  std::string portal;
  bool binary = false;
};
inline std::string bind(std::string_view statement = "", const BindOptions& options = {}) {
  const std::vector<std::optional<std::string_view>> values(options.parameters.begin(),
                                                            options.parameters.end());
  std::vector<int16_t> formats;
  if (options.binary) formats.push_back(wire::kBinaryFormat);
  std::string out;
  wire::append_bind(out, options.portal, statement, {}, values, formats);
  return out;
}
inline std::string describe(std::string_view portal = "") {
  std::string out;
  wire::append_describe_portal(out, portal);
  return out;
}
inline std::string describe_statement(std::string_view name) {
  std::string out;
  wire::append_describe_statement(out, name);
  return out;
}
inline std::string execute(int32_t max_rows = 0, std::string_view portal = "") {
  std::string out;
  wire::append_execute(out, portal, max_rows);
  return out;
}
inline std::string close_statement(std::string_view name) {
  std::string out;
  wire::append_close_statement(out, name);
  return out;
}
inline std::string close_portal(std::string_view name) {
  std::string out;
  wire::append_close_portal(out, name);
  return out;
}
inline std::string letter(char type) {
  std::string out;
  wire::append_empty(out, type);
  return out;
}
inline std::string sync() {
  return letter('S');
}
inline std::string flush() {
  return letter('H');
}
inline std::string terminate() {
  return letter('X');
}
inline std::string copy_done() {
  return letter('c');
}
inline std::string copy_data(std::string_view data) {
  std::string out = "d";
  wire::append_u32(out, static_cast<uint32_t>(data.size() + 4));
  return out.append(data);
}
inline std::string copy_fail() {
  std::string out;
  wire::append_copy_fail(out, "no");
  return out;
}
inline std::string password(std::string_view text) {
  std::string out;
  wire::append_password(out, text);
  return out;
}
inline std::string function_call() {
  return std::string("F\0\0\0\16\0\0\0\1\0\0\0\0\0\0", 15);
}
/// A whole unit, as libpq sends it.
inline std::string unit(std::string_view sql, const BindOptions& options = {}) {
  return parse("", sql) + bind("", options) + describe() + execute() + sync();
}

}  // namespace pgrecall::session::testing
