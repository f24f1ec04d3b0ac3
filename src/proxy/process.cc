#include "proxy/process.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

#include "pgrecall/base/assert.h"
#include "pgrecall/base/log.h"
#include "pgrecall/config/url.h"
#include "pgrecall/net/address.h"
#include "pgrecall/net/random.h"
#include "proxy/announce.h"

namespace pgrecall::proxy {
namespace {

constexpr auto kDrainTick = std::chrono::milliseconds(50);
constexpr uint32_t kWaitersMax = 100'000;

/// Larger than any epoch this deployment used before, as long as clocks do not run backwards by
/// more than what the process took to start.
uint64_t first_epoch() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

/// Nothing without a URL, which the configuration has checked.
std::optional<adapters::RedisOptions> redis_options(const config::Redis& redis) {
  if (redis.url.empty()) return std::nullopt;
  const Result<config::RedisUrl> url = config::parse_redis_url(redis.url);
  PGR_ASSERT(url.ok());
  adapters::RedisOptions options;
  options.endpoint = {url->host, url->port};
  options.socket_path = url->socket_path;
  options.user = url->user;
  options.password = url->password;
  options.database = url->database;
  options.prefix = redis.prefix;
  options.timeout = redis.timeout;
  return options;
}

stats::StatsOptions stats_options(const config::Config& config) {
  stats::StatsOptions options;
  options.workers = config.workers;
  options.fingerprints_max = config.limits.fingerprints;
  options.tables_max = config.limits.tables;
  for (size_t i = 0; i < static_cast<size_t>(sql::BypassReason::kCount); ++i) {
    options.bypass_names.emplace_back(sql::bypass_reason_name(static_cast<sql::BypassReason>(i)));
  }
  options.fill_refusal_names = options.bypass_names;
  return options;
}

}  // namespace

Process::Process(const config::Config& config)
    : config_(config),
      started_at_(std::chrono::steady_clock::now()),
      epochs_(first_epoch()),
      results_(config.cache.size_bytes, config.cache.entry_max_bytes),
      flights_(cache::SingleFlight::Limits{}),
      control_(config_, epochs_),
      counts_(config_, control_),
      databases_(epochs_, control_),
      pools_(config.pool.size, kWaitersMax),
      contexts_(
          std::any_of(config.rules.begin(), config.rules.end(),
                      [](const config::Rule& rule) { return !rule.application_name.empty(); })),
      stats_(stats_options(config)) {}

Process::~Process() {
  // Also after a start that failed half way.
  admin_ = nullptr;
  stop_workers();
  control_.stop();
}

Status Process::start() {
  const auto redis = redis_options(config_.redis);
  announce(config_, redis ? &*redis : nullptr);
  stats_.count_invalidations([this] { return epochs_.advances(); },
                             [this](const std::string& database, const std::string& table) {
                               return invalidations_of(database, table);
                             });
  auto rules = policy::RuleSet::compile(config_);
  if (!rules.ok()) return rules.error();
  shared_.reset(new session::Shared{config_,
                                    epochs_,
                                    prepared_,
                                    results_,
                                    flights_,
                                    databases_,
                                    pools_,
                                    contexts_,
                                    stats_,
                                    counts_,
                                    rules.value(),
                                    {config_.cache.mode},
                                    {},
                                    {}});
  auto loop = net::Loop::create();
  if (!loop.ok()) return loop.error();
  loop_ = std::move(loop.value());
  auto signals = net::Signals::watch(*loop_, {SIGTERM, SIGINT, SIGHUP},
                                     [this](int number) { on_signal(number); });
  if (!signals.ok()) return signals.error();
  signals_ = std::move(signals.value());
  if (Status control = control_.start(); !control.ok()) return control;
  // The control role's own database tells at once whether the control role works.
  control_.reread(databases_.database(config_.upstream.database), 0, false);
  if (Status workers = start_workers(); !workers.ok()) return workers;
  // The admin port answers last: whoever sees it may connect.
  if (Status listening = listen(); !listening.ok()) return listening;
  auto admin = admin::AdminServer::start(config_.admin.host, config_.admin.port, stats_, *this);
  if (!admin.ok()) return admin.error();
  admin_ = std::move(admin.value());
  announce_admin(config_.admin);
  return Ok{};
}

Status Process::start_workers() {
  auto upstream = net::Endpoint{config_.upstream.host, config_.upstream.port};
  const auto redis = redis_options(config_.redis);
  if (redis) redis_report_ = std::make_unique<RedisReport>(place_of(*redis), config_.workers);
  const uint64_t generation = net::secure_random_u64();
  for (uint32_t index = 0; index < config_.workers; ++index) {
    auto loop = net::Loop::create();
    if (!loop.ok()) return loop.error();
    workers_.push_back(
        std::make_unique<Worker>(WorkerOptions{index, *shared_, cancels_, upstream, redis,
                                               generation, redis_report_.get(), workers_},
                                 std::move(loop.value())));
  }
  for (auto& worker : workers_) {
    Worker* target = worker.get();
    auto thread = net::start_thread("worker", net::kParserStackBytes, [target] { target->run(); });
    if (!thread.ok()) return thread.error();
    threads_.push_back(std::move(thread.value()));
  }
  return Ok{};
}

Status Process::listen() {
  const auto accepted = [this](net::Accepted client) { accept(std::move(client)); };
  const auto problem = [](std::string_view sentence) { log::warn(sentence); };
  auto tcp =
      net::Listener::open_tcp(*loop_, config_.listen.host, config_.listen.port, accepted, problem);
  if (!tcp.ok()) return tcp.error();
  listeners_.push_back(std::move(tcp.value()));
  if (!config_.listen.unix_socket_dir.empty()) {
    auto unix_socket = net::Listener::open_unix(*loop_, config_.listen.unix_socket_dir,
                                                config_.listen.port, accepted, problem);
    if (!unix_socket.ok()) return unix_socket.error();
    listeners_.push_back(std::move(unix_socket.value()));
  }
  for (const auto& listener : listeners_) {
    for (const std::string& address : listener->addresses()) {
      log::info("listening", {{"address", address}, {"workers", config_.workers}});
    }
  }
  return Ok{};
}

void Process::accept(net::Accepted accepted) {
  Worker* least = workers_.front().get();
  uint32_t total = 0;
  for (const auto& worker : workers_) {
    total += worker->clients();
    if (worker->clients() < least->clients()) least = worker.get();
  }
  if (total >= config_.limits.clients) {
    // As a session, so that the client reads a proper error; it costs one turn.
    return least->refuse_client(std::move(accepted));
  }
  least->adopt_client(std::move(accepted));
}

void Process::run() {
  loop_->run();
  admin_ = nullptr;  // first: its threads look at the workers
  stop_workers();
  control_.stop();
}

void Process::on_signal(int number) {
  if (number == SIGHUP) {
    return log::warn("SIGHUP: nothing of the configuration can be applied without a restart yet");
  }
  if (draining_.exchange(true)) {
    log::info("second signal: ending at once");
    return loop_->stop();
  }
  log::info("draining");
  drain(false);
}

void Process::drain(bool now) {
  listeners_.clear();
  for (const auto& worker : workers_) worker->drain(now);
  drain_deadline_ = loop_->now() + config_.limits.drain_timeout;
  drain_timer_ = loop_->make_timer([this] {
    uint32_t clients = 0;
    for (const auto& worker : workers_) clients += worker->clients();
    if (clients == 0) return loop_->stop();
    if (loop_->now() >= drain_deadline_) {
      log::warn("drain_timeout: ending with clients connected", {{"clients", clients}});
      loop_->stop();
    }
  });
  drain_timer_->start(kDrainTick, kDrainTick);
}

void Process::stop_workers() {
  drain_timer_ = nullptr;
  listeners_.clear();
  signals_ = nullptr;
  for (const auto& worker : workers_) worker->stop();
  for (net::Thread& thread : threads_) thread.join();
  workers_.clear();
}

}  // namespace pgrecall::proxy
