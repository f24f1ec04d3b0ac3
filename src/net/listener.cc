#include "pgrecall/net/listener.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "net/loop_state.h"
#include "net/poll_handle.h"

namespace pgrecall::net {
namespace {

Error failure(std::string_view what, std::string_view where, int error) {
  return Error{fmt::format("cannot {} {}: {}", what, where, error_text(error)), ""};
}

Result<std::vector<Address>> addresses_of(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const bool any = host == "*" || host.empty();
  const int result =
      getaddrinfo(any ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (result != 0)
    return Error{fmt::format("cannot look up \"{}\" to listen on: {}", host, gai_strerror(result)),
                 ""};
  std::vector<Address> addresses;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next)
    addresses.push_back(Address::from(item->ai_addr, item->ai_addrlen));
  freeaddrinfo(list);
  return addresses;
}

/// A socket file that nobody answers on is what a killed process left behind.
Status remove_stale_file(const std::string& path, const Address& address) {
  struct stat status = {};
  if (lstat(path.c_str(), &status) != 0) return Ok{};
  if (!S_ISSOCK(status.st_mode)) return Error{path + " exists and is not a socket", ""};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failure("open", path, errno);
  const int result = connect(fd, address.get(), address.length());
  const int error = errno;
  close(fd);
  if (result == 0 || error != ECONNREFUSED) return Error{"another process listens on " + path, ""};
  if (unlink(path.c_str()) != 0) return failure("remove", path, errno);
  return Ok{};
}

}  // namespace

struct Listener::Socket {
  Listener* listener = nullptr;
  int fd = -1;
  PollHandle* poll = nullptr;
  Address address;

  ~Socket() {
    if (poll != nullptr) poll->release();
    if (fd >= 0) close(fd);
  }
};

Listener::Listener(Loop& loop, AcceptCallback accept, ProblemCallback problem)
    : loop_(loop), accept_(std::move(accept)), problem_(std::move(problem)) {
  retry_timer_ = loop.make_timer([this] { watch_all(); });
}

Listener::~Listener() {
  if (!unix_file_.empty()) unlink(unix_file_.c_str());
}

Result<std::unique_ptr<Listener>> Listener::open_tcp(Loop& loop, const std::string& host,
                                                     uint16_t port, AcceptCallback accept,
                                                     ProblemCallback problem,
                                                     ListenerOptions options) {
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(accept), std::move(problem)));
  Result<std::vector<Address>> addresses = addresses_of(host, port);
  if (!addresses.ok()) return addresses.error();
  Status status = Error{"no address to listen on for " + host, ""};
  std::vector<std::string> problems;
  for (Address& address : *addresses) {
    // With port 0 the first address chooses and the others follow.
    if (port == 0 && listener->port_ != 0) address.set_port(listener->port_);
    status = listener->add_socket(address, options);
    if (!status.ok()) problems.push_back(status.error().message);
  }
  if (listener->sockets_.empty()) return Error{fmt::format("{}", fmt::join(problems, "; ")), ""};
  for (const std::string& text : problems) listener->problem_(text);
  listener->watch_all();
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::open_unix(Loop& loop, const std::string& folder,
                                                      uint16_t port, AcceptCallback accept,
                                                      ProblemCallback problem,
                                                      ListenerOptions options) {
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(accept), std::move(problem)));
  const std::string path = Endpoint{folder, port}.socket_path();
  Result<Address> address = Address::unix_path(path);
  if (!address.ok()) return address.error();
  Status status = remove_stale_file(path, *address);
  if (status.ok()) status = listener->add_socket(*address, options);
  if (!status.ok()) return status.error();
  listener->unix_file_ = path;
  listener->port_ = port;
  // As PostgreSQL's unix_socket_permissions: who may connect is decided by authentication.
  if (chmod(path.c_str(), 0777) != 0) return failure("open to everybody", path, errno);
  listener->watch_all();
  return listener;
}

Status Listener::add_socket(const Address& address, const ListenerOptions& options) {
  auto socket_owner = std::make_unique<Socket>();
  Socket& one = *socket_owner;
  one.listener = this;
  one.address = address;
  const std::string where = address.text();
  one.fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (one.fd < 0) return failure("listen on", where, errno);
  const int on = 1;
  if (address.family() != AF_UNIX) setsockopt(one.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) setsockopt(one.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (options.reuse_port) setsockopt(one.fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (bind(one.fd, address.get(), address.length()) != 0 || listen(one.fd, options.backlog) != 0)
    return failure("listen on", where, errno);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (getsockname(one.fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0)
    return failure("listen on", where, errno);
  if (address.family() != AF_UNIX) {
    one.address = Address::from(reinterpret_cast<const sockaddr*>(&bound), length);
    port_ = one.address.port();
  }
  int error = 0;
  one.poll = PollHandle::open(loop_.state(), one.fd, &one, &Listener::on_poll, error);
  if (one.poll == nullptr) return failure("listen on", where, error);
  sockets_.push_back(std::move(socket_owner));
  return Ok{};
}

void Listener::watch_all() {
  for (auto& one : sockets_) one->poll->watch(UV_READABLE);
}

void Listener::on_poll(void* owner, int, int) {
  auto& one = *static_cast<Socket*>(owner);
  one.listener->accept_some(one);
}

void Listener::accept_some(Socket& one) {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    Accepted accepted;
    accepted.fd =
        accept4(one.fd, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted.fd < 0) {
      const int error = errno;
      if (error == EAGAIN || error == EWOULDBLOCK) return;
      if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        out_of_descriptors(error);
        return;
      }
      continue;  // this one connection failed before it was taken
    }
    const Address address = Address::from(reinterpret_cast<const sockaddr*>(&peer), length);
    accepted.is_unix = one.address.family() == AF_UNIX;
    accepted.is_local = accepted.is_unix || address.is_local();
    accepted.peer = accepted.is_unix ? "[unix]" : address.text();
    out_of_descriptors_ = false;
    accept_(std::move(accepted));
  }
}

// A listening socket stays readable while connections wait: watching on would spin.
void Listener::out_of_descriptors(int error) {
  if (!out_of_descriptors_)
    problem_("cannot accept connections, trying again shortly: " + error_text(error));
  out_of_descriptors_ = true;
  for (auto& one : sockets_) one->poll->watch(0);
  retry_timer_->start(kRetry);
}

std::vector<std::string> Listener::addresses() const {
  std::vector<std::string> texts;
  for (const auto& one : sockets_) texts.push_back(one->address.text());
  return texts;
}

}  // namespace pgrecall::net
