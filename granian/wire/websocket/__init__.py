"""The WebSocket protocol (RFC 6455) over HTTP/1 and HTTP/2 (RFC 8441)."""
