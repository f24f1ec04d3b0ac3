// Process: everything there is one of, in the order it starts and ends.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgrecall/admin/server.h"
#include "pgrecall/admin/source.h"
#include "pgrecall/config/config.h"
#include "pgrecall/net/listener.h"
#include "pgrecall/net/loop.h"
#include "pgrecall/net/signals.h"
#include "pgrecall/net/thread.h"
#include "pgrecall/session/shared.h"
#include "proxy/cancel_directory.h"
#include "proxy/control_plane.h"
#include "proxy/count_service.h"
#include "proxy/worker.h"

namespace pgrecall::proxy {

/// Lives on the main thread, which accepts clients and hears signals. Start: services, control
/// plane, workers, listeners, admin port. End: listeners, clients, admin port, workers, control
/// plane.
class Process final : public admin::AdminSource {
 public:
  explicit Process(const config::Config& config);
  ~Process() override;

  Status start();
  void run();

  // AdminSource
  admin::ProxyStatus status() override;
  admin::Readiness readiness() override;
  Status invalidate_table(std::string_view database, std::string_view table) override;
  Status invalidate_all() override;

 private:
  Status start_workers();
  Status listen();
  void accept(net::Accepted accepted);
  void on_signal(int number);
  void drain(bool now);
  void stop_workers();
  uint64_t invalidations_of(const std::string& database, const std::string& table) const;
  Status invalidate_in(session::DatabaseState& database, std::string_view table, bool* found);

  const config::Config config_;
  const TimePoint started_at_;
  invalidation::EpochTable epochs_;
  invalidation::PreparedTransactions prepared_;
  cache::ResultCache results_;
  cache::SingleFlight flights_;
  ControlPlane control_;
  CountService counts_;
  session::DatabaseDirectory databases_;
  upstream::PoolDirectory pools_;
  session::ContextTable contexts_;
  stats::Stats stats_;
  CancelDirectory cancels_;
  std::unique_ptr<session::Shared> shared_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<RedisReport> redis_report_;  ///< with Redis
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<net::Thread> threads_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::unique_ptr<net::Signals> signals_;
  std::unique_ptr<net::Timer> drain_timer_;
  TimePoint drain_deadline_{};
  std::atomic<bool> draining_{false};
};

}  // namespace pgrecall::proxy
