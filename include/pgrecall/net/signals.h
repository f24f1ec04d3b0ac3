// Signals of the process as callbacks on a loop.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "pgrecall/net/loop.h"

namespace pgrecall::net {

/// Owned by its user, on one loop's thread, destroyed before the Loop. While it lives, the signals
/// named do not have their default effect and SIGPIPE is ignored.
class Signals {
 public:
  using Callback = std::function<void(int signal_number)>;
  static Result<std::unique_ptr<Signals>> watch(Loop& loop, std::initializer_list<int> numbers,
                                                Callback callback);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Handle;
  explicit Signals(Callback callback);
  Callback callback_;
  std::vector<Handle*> handles_;  ///< each lives on until libuv has closed it
};

}  // namespace pgrecall::net
