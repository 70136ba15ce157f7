"""HTTP/2 connections and streams (RFC 9113)."""
