#include <fmt/format.h>
#include <netdb.h>

#include <string>
#include <utility>

#include "net/loop_state.h"
#include "pgrecall/net/address.h"

namespace pgrecall::net {

/// Shared by the Resolution and by libuv or the deferred task, whichever ends last.
struct Resolution::Request {
  uv_getaddrinfo_t uv{};
  LoopState* state = nullptr;
  std::function<void(Result<std::vector<Address>>)> callback;  ///< empty: nobody waits any more
  std::shared_ptr<Request> self;                               ///< set while libuv holds this

  void deliver(Result<std::vector<Address>> result) {
    auto waiting = std::exchange(callback, nullptr);
    if (waiting) waiting(std::move(result));
  }

  static void on_result(uv_getaddrinfo_t* uv, int status, addrinfo* list) {
    const std::shared_ptr<Request> request = std::move(static_cast<Request*>(uv->data)->self);
    request->state->begin_turn();
    std::vector<Address> addresses;
    for (const addrinfo* item = list; item != nullptr; item = item->ai_next)
      addresses.push_back(Address::from(item->ai_addr, item->ai_addrlen));
    uv_freeaddrinfo(list);
    if (status == 0 && !addresses.empty())
      request->deliver(std::move(addresses));
    else
      request->deliver(Error{fmt::format("the host name cannot be resolved: {}",
                                         uv_strerror(status != 0 ? status : UV_EAI_NONAME)),
                             ""});
  }
};

Resolution::~Resolution() {
  request_->callback = nullptr;
  if (request_->self) uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
}

std::unique_ptr<Resolution> resolve(Loop& loop, const Endpoint& endpoint,
                                    std::function<void(Result<std::vector<Address>>)> callback) {
  std::unique_ptr<Resolution> resolution(new Resolution());
  auto request = std::make_shared<Resolution::Request>();
  request->state = &loop.state();
  request->callback = std::move(callback);
  resolution->request_ = request;

  const Result<Address> known = Address::numeric(endpoint);
  if (known.ok() || endpoint.is_unix()) {
    loop.defer([request, known] {
      if (known.ok())
        request->deliver(std::vector<Address>{*known});
      else
        request->deliver(known.error());
    });
    return resolution;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  request->uv.data = request.get();
  const int result =
      uv_getaddrinfo(&loop.state().uv, &request->uv, &Resolution::Request::on_result,
                     endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints);
  if (result == 0) {
    request->self = request;
  } else {
    loop.defer([request, result] {
      request->deliver(
          Error{fmt::format("the host name cannot be resolved: {}", uv_strerror(result)), ""});
    });
  }
  return resolution;
}

}  // namespace pgrecall::net
