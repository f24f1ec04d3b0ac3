// What policy::estimate_count needs to know of a table, asked of the server.
#pragma once

#include "pgrecall/adapters/control_connection.h"
#include "pgrecall/base/result.h"
#include "pgrecall/policy/count_estimate.h"
#include "pgrecall/sql/catalog.h"

namespace pgrecall::adapters {

/// One query, versions 13 to 18; waits for no lock on the table. `role` is the effective role of
/// the client. Its privileges are looked up in its own name, whatever the control role may see. The
/// number of changes is what backends have reported: each does at the latest a second after a
/// transaction ended, or (versions 15 to 18) ten seconds after going idle.
Result<policy::CountFacts> count_facts(ControlConnection& connection, sql::Oid relation,
                                       sql::Oid role);

}  // namespace pgrecall::adapters
