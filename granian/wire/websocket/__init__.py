"""WebSocket over any stream of octets: handshake, frames and messages, without I/O (RFC 6455)."""
