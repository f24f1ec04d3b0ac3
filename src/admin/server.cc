#include "pgrecall/admin/server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "admin/guard.h"
#include "admin/render.h"
#include "pgrecall/base/log.h"

namespace pgrecall::admin {
namespace {

constexpr size_t kThreads = 4;
constexpr size_t kQueuedMax = 32;
constexpr size_t kBodyBytesMax = 64 * 1024;
constexpr time_t kPeerTimeoutSeconds = 5;
constexpr const char* kJson = "application/json";

/// A fixed number of threads and a bounded queue: a full one stops the acceptor, and the kernel's
/// backlog bounds the rest. (The library's own queue grows without bound.)
class BoundedTasks : public httplib::TaskQueue {
 public:
  BoundedTasks() {
    for (size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
  }

  // Void up to cpp-httplib 0.11, later a bool: false would drop the connection.
  using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue({}));
  Enqueued enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return tasks_.size() < kQueuedMax; });
    tasks_.push_back(std::move(task));
    changed_.notify_all();
    return Enqueued(true);
  }

  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      changed_.notify_all();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// The library listens with a backlog of five, past which a client's SYN waits for a second.
class WideServer : public httplib::Server {
 public:
  void widen_backlog() {
    constexpr int kBacklog = 128;
    ::listen(svr_sock_, kBacklog);
  }
};

RequestOrigin origin_of(const httplib::Request& request) {
  RequestOrigin origin;
  if (request.has_header("Host")) origin.host = request.get_header_value("Host");
  if (request.has_header("Origin")) origin.origin = request.get_header_value("Origin");
  origin.content_type = request.get_header_value("Content-Type");
  return origin;
}

void answer_error(httplib::Response& response, int status, std::string_view message) {
  response.status = status;
  response.set_content(error_json(message), kJson);
}

/// `?top=N`: how many rows of each list; all without it.
size_t top_of(const httplib::Request& request) {
  const std::string text = request.get_param_value("top");
  size_t top = SIZE_MAX;
  std::from_chars(text.data(), text.data() + text.size(), top);
  return top;
}

std::string address_text(const std::string& host, uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

}  // namespace

/// Owns the library's server and the thread that accepts.
class AdminServer::Impl {
 public:
  Impl(std::string host, const stats::Stats& stats, AdminSource& source)
      : host_(std::move(host)), stats_(stats), source_(source) {
    configure();
    add_routes();
  }

  ~Impl() {
    server_.stop();
    if (acceptor_.joinable()) acceptor_.join();
  }

  Status start(uint16_t port) {
    errno = 0;
    int bound = port;
    if (port == 0)
      bound = server_.bind_to_any_port(host_);
    else if (!server_.bind_to_port(host_, port))
      bound = -1;
    if (bound <= 0)
      return Error{fmt::format("admin port: cannot listen on {}: {}", address_text(host_, port),
                               errno == 0 ? "address not known" : std::strerror(errno)),
                   ""};
    port_ = static_cast<uint16_t>(bound);
    server_.widen_backlog();
    acceptor_ = std::thread([this] {
      if (!server_.listen_after_bind()) log::error("admin port: the acceptor ended");
      ended_.store(true);
    });
    // stop() has no effect on a server that does not run yet, so wait until it does.
    while (!server_.is_running() && !ended_.load()) std::this_thread::yield();
    return Ok{};
  }

  uint16_t port() const { return port_; }

 private:
  void configure() {
    server_.new_task_queue = [] { return new BoundedTasks(); };
    // The library's default is SO_REUSEPORT, under which a taken port goes unnoticed.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kPeerTimeoutSeconds);
    server_.set_write_timeout(kPeerTimeoutSeconds);
    server_.set_payload_max_length(kBodyBytesMax);
    server_.set_tcp_nodelay(true);
    server_.set_default_headers(
        {{"Cache-Control", "no-store"},
         {"X-Content-Type-Options", "nosniff"},
         {"Content-Security-Policy",
          "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src "
          "'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}});
    server_.set_pre_routing_handler([this](const auto& request, auto& response) {
      const bool reads = request.method == "GET" || request.method == "HEAD";
      if (!reads && !request.has_header("Content-Length")) {
        // Without a length the library would read until the peer closes.
        answer_error(response, 411, "Content-Length is required");
        return httplib::Server::HandlerResponse::Handled;
      }
      const std::string why =
          reads ? refuse_get(host_, origin_of(request)) : refuse_post(host_, origin_of(request));
      if (why.empty()) return httplib::Server::HandlerResponse::Unhandled;
      answer_error(response, 403, why);
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.set_exception_handler([](const auto&, auto& response, std::exception_ptr) {
      answer_error(response, 500, "internal error");
    });
    server_.set_error_handler([](const auto&, auto& response) {
      if (response.body.empty()) answer_error(response, response.status, "there is no such page");
    });
  }

  void add_routes() {
    server_.Get("/", [](const auto&, auto& response) {
      const std::string_view page = dashboard_html();
      response.set_content(page.data(), page.size(), "text/html; charset=utf-8");
    });
    server_.Get("/healthz",
                [](const auto&, auto& response) { response.set_content("ok\n", "text/plain"); });
    server_.Get("/readyz", [this](const auto&, auto& response) {
      const Readiness readiness = source_.readiness();
      response.status = readiness.ready ? 200 : 503;
      response.set_content(readiness_json(readiness), kJson);
    });
    server_.Get("/metrics", [this](const auto&, auto& response) {
      response.set_content(metrics_text(stats_.snapshot(), source_.status()),
                           "text/plain; version=0.0.4; charset=utf-8");
    });
    server_.Get("/api/stats", [this](const auto& request, auto& response) {
      response.set_content(stats_json(stats_.snapshot(), source_.status(), top_of(request)), kJson);
    });
    server_.Get("/api/fingerprints", [this](const auto&, auto& response) {
      response.set_content(fingerprints_json(stats_.snapshot()), kJson);
    });
    server_.Post("/api/invalidate",
                 [this](const auto& request, auto& response) { invalidate(request, response); });
  }

  void invalidate(const httplib::Request& request, httplib::Response& response) {
    constexpr std::string_view kForm =
        "expected {\"table\": \"schema.name\"}, optionally with \"database\", or {\"all\": true}";
    const auto body = nlohmann::json::parse(request.body, nullptr, false);
    if (!body.is_object()) return answer_error(response, 400, kForm);
    const auto all = body.find("all");
    const auto table = body.find("table");
    const auto database = body.find("database");
    const bool for_all = all != body.end() && all->is_boolean() && all->get<bool>();
    const bool for_one = table != body.end() && table->is_string();
    const bool database_ok = database == body.end() || (for_one && database->is_string());
    const size_t known = static_cast<size_t>(all != body.end()) +
                         static_cast<size_t>(table != body.end()) +
                         static_cast<size_t>(database != body.end());
    if (for_all == for_one || !database_ok || known != body.size())
      return answer_error(response, 400, kForm);
    const std::string in = database == body.end() ? "" : database->get<std::string>();
    const Status done = for_all
                            ? source_.invalidate_all()
                            : source_.invalidate_table(in, table->get_ref<const std::string&>());
    if (!done.ok()) return answer_error(response, 404, done.error().message);
    response.set_content("{\"invalidated\":true}\n", kJson);
  }

  const std::string host_;
  const stats::Stats& stats_;
  AdminSource& source_;
  WideServer server_;
  uint16_t port_ = 0;
  std::atomic<bool> ended_{false};
  std::thread acceptor_;
};

AdminServer::AdminServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AdminServer::~AdminServer() = default;

uint16_t AdminServer::port() const {
  return impl_->port();
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(const std::string& host, uint16_t port,
                                                        const stats::Stats& stats,
                                                        AdminSource& source) {
  auto impl = std::make_unique<Impl>(host, stats, source);
  const Status started = impl->start(port);
  if (!started.ok()) return started.error();
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(impl)));
}

}  // namespace pgrecall::admin
