"""The client's side of a WebSocket, as octets: frames as a client masks them, or breaks them."""

import zlib

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0, key=b"\x01\x7f\x80\xff", mask=True, long=0):
    """Render a client's frame; ``long`` forces a length of 2 or 8 octets."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    first = bytes([fin << 7 | rsv << 4 | opcode])
    bit = mask << 7
    if long == 8 or size > 65_535:
        head = first + bytes([bit | 127]) + size.to_bytes(8, "big")
    elif long == 2 or size > 125:
        head = first + bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head = first + bytes([bit | size])
    if not mask:
        return head + payload
    return head + key + bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))


def header(opcode, size, fin=True, key=b"\0\0\0\0"):
    """Render only the header of a client's frame that announces ``size`` octets."""
    first = bytes([fin << 7 | opcode])
    if size > 65_535:
        return first + b"\xff" + size.to_bytes(8, "big") + key
    if size > 125:
        return first + b"\xfe" + size.to_bytes(2, "big") + key
    return first + bytes([128 | size]) + key


def deflate(payload, bits=12):
    """Compress a message as RFC 7692 section 7.2.1 says, without context."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def close(code, reason=b""):
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def messages(session):
    """Take every message that a session has."""
    taken = []
    while True:
        message = session.next_message()
        if message is not None:
            taken.append(message)
        elif session.unfinished:
            session.unfinished = False
        else:
            return taken


def parse(octets):
    """Read frames of a server: ``(first octet, payload)`` each; they must be whole and bare."""
    frames = []
    while octets:
        first, size, at = octets[0], octets[1], 2
        if size == 126:
            size, at = int.from_bytes(octets[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(octets[2:10], "big"), 10
        assert size < 128 or at > 2, "a server must not mask"
        assert len(octets) >= at + size, "cut frame"
        frames.append((first, octets[at : at + size]))
        octets = octets[at + size :]
    return frames
