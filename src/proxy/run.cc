#include "pgrecall/proxy/run.h"

#include "pgrecall/base/log.h"
#include "proxy/process.h"

namespace pgrecall::proxy {

int run(const config::Config& config) {
  log::configure(static_cast<log::Level>(config.log.level),
                 static_cast<log::Format>(config.log.format));
  Process process(config);
  if (const Status started = process.start(); !started.ok()) {
    log::error("cannot start", {{"error", started.error().message}});
    return 1;
  }
  process.run();
  log::info("ended");
  return 0;
}

}  // namespace pgrecall::proxy
