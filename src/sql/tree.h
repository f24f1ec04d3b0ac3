// The protobuf tree of libpg_query: short names, and a visit of children that knows every message.
#pragma once

#include <pg_query/pg_query.pb-c.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace pgrecall::sql {

using Node = PgQuery__Node;
using SelectStmt = PgQuery__SelectStmt;
using RangeVar = PgQuery__RangeVar;
using FuncCall = PgQuery__FuncCall;
using ColumnRef = PgQuery__ColumnRef;
using TypeName = PgQuery__TypeName;
using Message = ProtobufCMessage;

/// Memory of one tree: bump allocation, given back at once (freeing a tree node by node recurses).
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// For protobuf_c_message_unpack; valid as long as the arena.
  ProtobufCAllocator* allocator() { return &allocator_; }
  size_t bytes() const { return bytes_; }

 private:
  static void* allocate(void* arena, size_t size);
  static void release(void*, void*) {}

  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  size_t used_ = 0;
  size_t capacity_ = 0;
  size_t bytes_ = 0;
  ProtobufCAllocator allocator_{&Arena::allocate, &Arena::release, this};
};

/// The message inside a node; null for an empty node.
inline const Message* inner(const Node* node) {
  if (node == nullptr || node->node_case == PG_QUERY__NODE__NODE__NOT_SET) return nullptr;
  return reinterpret_cast<const Message*>(node->alias);  // every member of the oneof is a pointer
}

inline bool is_node(const Message* message) {
  return message->descriptor == &pg_query__node__descriptor;
}

/// Calls `visit(const Message*)` for every child message, in the order of the fields.
template <typename Visit>
void for_each_child(const Message* message, Visit visit) {
  if (is_node(message)) {
    if (const Message* child = inner(reinterpret_cast<const Node*>(message))) visit(child);
    return;
  }
  const auto* base = reinterpret_cast<const char*>(message);
  const ProtobufCMessageDescriptor& descriptor = *message->descriptor;
  for (unsigned i = 0; i < descriptor.n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = descriptor.fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    const char* place = base + field.offset;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const size_t count = *reinterpret_cast<const size_t*>(base + field.quantifier_offset);
      auto* const* children = *reinterpret_cast<const Message* const* const*>(place);
      for (size_t k = 0; k < count; ++k) visit(children[k]);
      continue;
    }
    if ((field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *reinterpret_cast<const uint32_t*>(base + field.quantifier_offset) != field.id) {
      continue;
    }
    if (const auto* child = *reinterpret_cast<const Message* const*>(place)) visit(child);
  }
}

/// The text of a String node, of a constant string, or empty.
std::string_view string_of(const Node* node);

/// A possibly qualified name: `qualifier` is empty if there is none. More than two parts (a
/// database name in front) keep only the last two and set `database`.
struct QualifiedName {
  std::string_view database;
  std::string_view qualifier;
  std::string_view name;
};
QualifiedName name_of(size_t count, Node* const* parts);

/// The node seen through redundant casts of a constant to text, as `'x'::text`.
const Node* through_text_casts(const Node* node);
/// True for a string constant; its value goes to `value`.
bool constant_string(const Node* node, std::string_view& value);
/// True for true, false and 't'::boolean and kin.
bool constant_bool(const Node* node, bool& value);
bool is_null_constant(const Node* node);

}  // namespace pgrecall::sql
