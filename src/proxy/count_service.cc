#include "proxy/count_service.h"

namespace pgrecall::proxy {

bool CountService::estimate(session::DatabaseState&, sql::Oid, sql::Oid, const policy::Policy&,
                            int64_t*) {
  return false;
}

std::vector<admin::CountEstimate> CountService::status() const {
  return {};
}

}  // namespace pgrecall::proxy
