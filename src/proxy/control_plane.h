// ControlPlane: catalogs, watched backends and count estimates, over libpq, on a thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pgrecall/adapters/control_connection.h"
#include "pgrecall/admin/source.h"
#include "pgrecall/config/config.h"
#include "pgrecall/invalidation/epoch_table.h"
#include "pgrecall/net/thread.h"
#include "pgrecall/session/database_state.h"
#include "pgrecall/session/shared.h"
#include "proxy/outage.h"

namespace pgrecall::proxy {

/// One per process. Public members may be called from any thread and do not block on a server.
/// While a database's control connection is down its catalog is not current, so everything there
/// is a bypass; a connection that is lost starts a new generation (rule 11).
class ControlPlane final : public session::CatalogPort {
 public:
  ControlPlane(const config::Config& config, invalidation::EpochTable& epochs);
  ~ControlPlane() override;

  /// Starts the thread. `databases` must exist by now and outlive it.
  Status start();
  void stop();

  void reread(session::DatabaseState& database, invalidation::FenceToken fence,
              bool certain) override;
  void logged_in(session::DatabaseState& database) override;
  void settle_when_gone(session::DatabaseState& database, uint32_t process_id,
                        std::string backend_start,
                        std::vector<invalidation::FenceToken> fences) override;
  void release(std::string_view database) override;
  /// Runs once on the control thread, with a connection to that database or null.
  void ask(session::DatabaseState& database,
           std::function<void(adapters::ControlConnection*)> question);

  std::vector<admin::ControlStatus> status() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct Record {
    session::DatabaseState* state = nullptr;
    std::optional<adapters::ControlConnection> connection;
    std::shared_ptr<const sql::Catalog> catalog;
    std::string digest;
    std::string configured;  ///< when the server read its configuration last
    std::string error;
    Outage outage;
    bool wanted = false;   ///< somebody asked for a re-read
    bool certain = false;  ///< the catalog did change
    bool dormant = false;  ///< does not exist any more; until a client logs in, or a fence waits
    bool ever_connected = false;
    Clock::time_point next{};          ///< poll or retry
    Clock::time_point closed_until{};  ///< released for a DROP DATABASE
    std::vector<invalidation::FenceToken> fences;
    std::deque<std::function<void(adapters::ControlConnection*)>> questions;
  };
  struct Watch {
    session::DatabaseState* state = nullptr;
    uint32_t process_id = 0;
    std::string backend_start;
    std::vector<invalidation::FenceToken> fences;
  };

  void run();
  Record& record(session::DatabaseState& database);  ///< with the mutex held
  bool due(const Record& record, Clock::time_point now) const;
  Record* next_due(Clock::time_point now, Clock::time_point* wake);
  void serve(Record& record);
  bool connect(Record& record);
  void lost(Record& record, const Error& error);
  void refresh(Record& record);
  void note_configuration(Record& record, std::string_view digest);
  bool load(Record& record, uint64_t suspicions, bool certain, const std::string& digest);
  void answer(Record& record);
  void check_watches();
  bool is_gone(const Watch& watch);
  Record* connected_record(const Record& preferred);
  void note(Record& record, std::string error);

  const config::Config& config_;
  invalidation::EpochTable& epochs_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, std::unique_ptr<Record>, std::less<>> records_;
  std::string served_;  ///< whose turn was the last
  std::vector<Watch> watches_;
  uint64_t next_version_ = 1;
  std::optional<net::Thread> thread_;
};

}  // namespace pgrecall::proxy
