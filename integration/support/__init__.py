"""What the integration tests share: servers, a raw protocol client, a gate, and freshness probes."""
