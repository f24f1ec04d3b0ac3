// A catalog for the analyzer's tests: the functions, operators and types of a real PostgreSQL 15
// with some contrib extensions (fixture/*.tsv), and a schema of our own.
#pragma once

#include "pgrecall/sql/catalog.h"

namespace pgrecall::sql::testing {

/// Built once; lives as long as the process. The relations are listed in analyzer_fixture.cc.
const Catalog& fixture_catalog();
/// The same over another server, as of pg_settings: 170000 for version 17.
const Catalog& fixture_catalog_of(int server_version_num);
/// Types and functions alone, some of users with names of the grammar or of built-in functions.
const Catalog& catalog_with_odd_names();
/// The same with an event trigger.
const Catalog& catalog_with_event_triggers();

}  // namespace pgrecall::sql::testing
