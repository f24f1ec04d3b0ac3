// Result<T>: a value or an Error, for everything that can happen. What cannot happen is an
// assertion.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "pgrecall/base/assert.h"

namespace pgrecall {

/// What went wrong, for a person: what, where, and what is allowed. `sqlstate` is set where the
/// error may reach a client as an ErrorResponse, and empty elsewhere.
struct Error {
  std::string message;
  std::string sqlstate;
};

/// Owns either a T or an Error. Reading the wrong side is an assertion.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }

  T& value() & {
    PGR_ASSERT(ok());
    return *std::get_if<T>(&state_);
  }
  const T& value() const& {
    PGR_ASSERT(ok());
    return *std::get_if<T>(&state_);
  }
  T&& value() && {
    PGR_ASSERT(ok());
    return std::move(*std::get_if<T>(&state_));
  }
  const Error& error() const {
    PGR_ASSERT(!ok());
    return *std::get_if<Error>(&state_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

/// The value of a function that can fail and has nothing to return.
struct Ok {};
using Status = Result<Ok>;

}  // namespace pgrecall
