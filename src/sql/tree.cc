#include "sql/tree.h"

#include <algorithm>
#include <cstddef>

namespace pgrecall::sql {
namespace {

constexpr size_t kFirstChunkBytes = 4096;
constexpr size_t kChunkBytesMax = 256 * 1024;

bool is_cast_to(const Node* node, std::string_view type) {
  if (node->node_case != PG_QUERY__NODE__NODE_TYPE_CAST) return false;
  const TypeName* target = node->type_cast->type_name;
  if (target == nullptr || target->n_array_bounds != 0) return false;
  const QualifiedName name = name_of(target->n_names, target->names);
  return name.name == type && (name.qualifier.empty() || name.qualifier == "pg_catalog");
}

bool parse_bool(std::string_view text, bool& value) {
  constexpr std::string_view kWords[] = {"t", "true",  "on",  "yes", "y", "1",
                                         "f", "false", "off", "no",  "n", "0"};
  const auto* found = std::find(std::begin(kWords), std::end(kWords), text);
  value = found < std::begin(kWords) + 6;
  return found != std::end(kWords);
}

}  // namespace

void* Arena::allocate(void* self, size_t size) {
  auto& arena = *static_cast<Arena*>(self);
  size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
  if (arena.used_ + size > arena.capacity_) {
    const size_t wanted = std::min(kChunkBytesMax, std::max(kFirstChunkBytes, arena.bytes_));
    arena.capacity_ = std::max(wanted, size);
    arena.chunks_.push_back(std::unique_ptr<std::byte[]>(new std::byte[arena.capacity_]));
    arena.bytes_ += arena.capacity_;
    arena.used_ = 0;
  }
  void* place = arena.chunks_.back().get() + arena.used_;
  arena.used_ += size;
  return place;
}

std::string_view string_of(const Node* node) {
  if (node == nullptr) return {};
  if (node->node_case == PG_QUERY__NODE__NODE_STRING) return node->string->sval;
  std::string_view value;
  constant_string(node, value);
  return value;
}

QualifiedName name_of(size_t count, Node* const* parts) {
  QualifiedName name;
  if (count > 0) name.name = string_of(parts[count - 1]);
  if (count > 1) name.qualifier = string_of(parts[count - 2]);
  if (count > 2) name.database = string_of(parts[count - 3]);
  return name;
}

const Node* through_text_casts(const Node* node) {
  while (node != nullptr && (is_cast_to(node, "text") || is_cast_to(node, "varchar")) &&
         node->type_cast->type_name->n_typmods == 0) {
    node = node->type_cast->arg;
  }
  return node;
}

bool constant_string(const Node* node, std::string_view& value) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_A_CONST) return false;
  if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) return false;
  value = node->a_const->sval->sval;
  return true;
}

bool constant_bool(const Node* node, bool& value) {
  if (node == nullptr) return false;
  if (node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
      node->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL) {
    value = node->a_const->boolval->boolval != 0;
    return true;
  }
  if (is_cast_to(node, "bool")) return constant_bool(node->type_cast->arg, value);
  std::string_view text;
  return constant_string(node, text) && parse_bool(text, value);
}

bool is_null_constant(const Node* node) {
  return node != nullptr && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
         node->a_const->isnull;
}

}  // namespace pgrecall::sql
