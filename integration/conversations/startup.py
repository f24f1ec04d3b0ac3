"""Start-up variants. Errors are compared by severity and SQLSTATE."""
import struct

from support.conversation import READY, Byte, End, conversation
from support.wire import SSL_REQUEST, query, startup, terminate, untyped

PARAMETERS = {"user": "postgres", "database": "%DATABASE%"}
SSL = untyped(SSL_REQUEST)
BEGIN = startup(PARAMETERS)


def raw(name, *steps, **keywords):
    return conversation(name, *steps, login=None, errors="sqlstate", **keywords)


def with_parameters(protocol=196608, **more):
    return startup({**PARAMETERS, **more}, protocol)


def version(major, minor):
    return (major << 16) | minor


CONVERSATIONS = (
    raw("plain_startup", BEGIN, READY, query("SELECT current_database() = current_catalog, current_user"), READY,
        terminate(), End()),
    raw("startup_and_query_in_one_send", BEGIN + query("SELECT v FROM t WHERE id = 1") + terminate(), READY, READY,
        End()),
    raw("ssl_refused_then_startup", SSL, Byte(), BEGIN, READY, query("SELECT 1")),
    raw("protocol_3_2", with_parameters(version(3, 2)), READY, query("SELECT 1")),
    raw("protocol_3_9999", with_parameters(version(3, 9999)), READY, query("SELECT 1")),
    raw("protocol_options", with_parameters(**{"_pq_.nosuch": "1", "_pq_.other": "x"}), READY, query("SELECT 1")),
    raw("protocol_3_2_with_options", with_parameters(version(3, 2), **{"_pq_.nosuch": "1"}), READY,
        query("SELECT 1")),
    raw("protocol_4_0", with_parameters(version(4, 0)), End()),
    raw("application_name", with_parameters(application_name="conversation"), READY,
        query("SHOW application_name"), READY, query("RESET application_name"), READY, query("SHOW application_name")),
    raw("setting_parameters", with_parameters(TimeZone="Asia/Tokyo", DateStyle="German"), READY,
        query("SELECT ts, d FROM wide"), READY, query("SET TimeZone = 'UTC'"), READY, query("RESET TimeZone"),
        READY, query("SHOW TimeZone"), READY, query("DISCARD ALL"), READY, query("SHOW DateStyle")),
    raw("options", with_parameters(options="-c TimeZone=Asia/Tokyo -c work_mem=5MB --geqo=off"), READY,
        query("SHOW TimeZone; SHOW work_mem; SHOW geqo"), READY, query("RESET ALL"), READY,
        query("SHOW work_mem")),
    raw("options_with_escapes", with_parameters(options=r'-c search_path="a\ b",public -c my.tenant=\\x'), READY,
        query("SHOW search_path; SHOW my.tenant")),
    raw("client_encoding", with_parameters(client_encoding="LATIN1"), READY, query(b"SELECT '\xe9', v FROM t WHERE id = 1"),
        READY, query("SHOW client_encoding")),
    raw("client_encoding_spellings", with_parameters(client_encoding="utf-8"), READY, query("SELECT 1")),
    raw("unknown_parameter", with_parameters(nosuch="1"), End()),
    raw("bad_value", with_parameters(TimeZone="Nowhere"), End()),
    raw("bad_options", with_parameters(options="-c nosuch=1"), End()),
    raw("malformed_options", with_parameters(options="-?"), End()),
    raw("custom_parameter", with_parameters(**{"my.tenant": "a"}), READY, query("SHOW my.tenant")),
    raw("unknown_user", startup({"user": "nosuch", "database": "%DATABASE%"}), End()),
    raw("unknown_database", startup({"user": "postgres", "database": "nosuch"}), End()),
    raw("no_user", startup({"database": "%DATABASE%"}), End()),
    raw("empty_user", startup({"user": "", "database": "%DATABASE%"}), End()),
    raw("no_parameters", startup({}), End()),
    raw("database_from_user", startup({"user": "postgres"}), READY, query("SELECT current_database()")),
    raw("too_short", struct.pack("!i", 4), End()),
    raw("too_long", struct.pack("!ii", 10_005, version(3, 0)), End()),
    raw("negative_length", struct.pack("!ii", -5, version(3, 0)), End()),
    raw("no_terminator", untyped(version(3, 0), b"user\0postgres"), End()),
    raw("unknown_message_type", BEGIN, READY, b"y\0\0\0\4", End()),
    raw("message_length_too_small", BEGIN, READY, b"Q\0\0\0\3", End()),
    raw("query_without_terminator", BEGIN, READY, b"Q\0\0\0\7abc", READY, query("SELECT 1")),
)
