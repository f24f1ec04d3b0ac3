#include "proxy/links.h"

#include <utility>

#include "proxy/worker.h"

namespace pgrecall::proxy {

ClientLink::ClientLink(Worker& owner, session::WorkerContext& context, session::PeerInfo peer)
    : worker(owner), session(context, std::move(peer)) {}

void ClientLink::on_readable_bytes(std::string_view bytes) {
  session.on_client_bytes(bytes);
  worker.update_reading(*this);
  worker.flush_outputs();
}

void ClientLink::on_writable_drained() {
  worker.resume_paused({}, std::exchange(paused_server, {}));
  session.set_output_full(false);
  if (!ended) worker.resume_later(session);
}

void ClientLink::on_end(int) {
  worker.client_ended(*this);
  worker.flush_outputs();
}

ServerLink::ServerLink(Worker& owner, upstream::ServerHost& host, std::string database,
                       std::string user)
    : worker(&owner),
      connection(std::make_unique<upstream::ServerConnection>(host, std::move(database),
                                                              std::move(user))) {}

void ServerLink::on_connected() {
  connected = true;
  worker->server_connected(*this);
  worker->flush_outputs();
}

void ServerLink::on_readable_bytes(std::string_view bytes) {
  Worker& owner = *worker;  // the link may be given away meanwhile
  owner.context().stats.bytes_from_servers.add(bytes.size());
  connection->on_bytes(bytes);
  owner.flush_outputs();
}

void ServerLink::on_writable_drained() {
  worker->resume_paused(std::exchange(paused_client, {}), {});
}

void ServerLink::on_end(int error) {
  Worker& owner = *worker;
  if (!connected)
    owner.connect_failed(*this, error);
  else
    connection->on_end();
  owner.flush_outputs();
}

CancelLink::CancelLink(Worker& owner, SlotId target, std::string request)
    : worker(owner), server(target), packet(std::move(request)) {}

void CancelLink::on_connected() {
  connected = true;
  stream->write(packet);
}

void CancelLink::on_end(int) {
  if (!connected && !addresses.empty()) return worker.cancel_next(*this);
  worker.cancel_ended(*this);
  worker.flush_outputs();
}

}  // namespace pgrecall::proxy
