"""Sockets, threads and time: what moves the octets of ``wire`` between peers and applications."""
