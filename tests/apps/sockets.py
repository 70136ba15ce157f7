"""Applications for WebSocket tests: the path says what they do."""

import asyncio

SEEN = []
"""What ended which WebSocket: ``(path, code, reason)``, in order."""

VERSIONS = {}
"""Path of each WebSocket to the HTTP version that it came by."""

PAGE = b"""<!doctype html><title>waiting</title><script>
const log = [], bytes = new Uint8Array(70000).fill(7);
const address = location.origin.replace("http", "ws") + "/sub";
const socket = new WebSocket(address, ["other", "chat"]);
socket.binaryType = "arraybuffer";
socket.onopen = () => { log.push(socket.protocol, socket.extensions); socket.send("gr\\u00fcn"); };
socket.onmessage = event => {
  if (typeof event.data === "string") { log.push(event.data); socket.send(bytes); }
  else {
    log.push(event.data.byteLength, new Uint8Array(event.data)[69999]);
    socket.close(4001, "bye");
  }
};
socket.onclose = event => {
  log.push(event.code, event.wasClean);
  fetch("/report", {method: "POST", body: JSON.stringify(log)});
};
</script>"""


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    elif scope["type"] == "http":
        await serve_page(scope, receive, send)
    else:
        await serve_socket(scope, receive, send)


async def serve_page(scope, receive, send):
    if scope["path"] == "/report":
        SEEN.append(("/report", (await receive())["body"].decode(), ""))
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})


async def serve_socket(scope, receive, send):
    path = scope["path"]
    VERSIONS[path] = scope["http_version"]
    await receive()
    if path == "/refuse":
        await send({"type": "websocket.close"})
        return
    if path == "/refuse-and-wait":
        await send({"type": "websocket.close"})
        message = await receive()
        SEEN.append((path, message["code"], message["reason"]))
        return
    if path in ("/deny", "/deny-long"):
        await deny(path, send)
        return
    if path == "/raise":
        raise ValueError("before accept")
    accept = {"type": "websocket.accept", "headers": [(b"x-path", path.encode())]}
    if path == "/sub":
        accept["subprotocol"] = scope["subprotocols"][-1]
    await send(accept)
    if path == "/sleep":
        await asyncio.Event().wait()
    if path == "/close":
        await send({"type": "websocket.close", "code": 4002, "reason": "enough"})
    if path == "/flood":
        await flood(path, send)
        return
    if path == "/send-after":
        code = (await receive())["code"]
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError:
            SEEN.append((path, code, "OSError"))
        return
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            SEEN.append((path, message["code"], message["reason"]))
            return
        if message.get("text") == "raise":
            raise ValueError("after accept")
        if path == "/text-only" and message.get("bytes") is not None:
            await send({"type": "websocket.close", "code": 1003, "reason": "text only"})
            continue
        await send({**message, "type": "websocket.send"})


async def deny(path, send):
    """Answer the handshake with a response, in one piece or in three."""
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 401, "headers": [(b"x-why", b"because")]})
    for _ in range(2 if path == "/deny-long" else 0):
        await send({"type": f"{kind}.body", "body": b"not you", "more_body": True})
    await send({"type": f"{kind}.body", "body": b"not you"})


async def flood(path, send):
    sent = 0
    try:
        while True:
            await send({"type": "websocket.send", "bytes": bytes(65_536)})
            sent += 1
    except OSError:
        SEEN.append((path, sent, ""))


async def rsgi(scope, protocol):
    if scope.proto != "ws":
        protocol.response_str(200, [], "http")
        return
    if scope.path == "/refuse":
        protocol.close(404)
        return
    transport = await protocol.accept()
    while True:
        message = await transport.receive()
        if message.kind == 0:
            SEEN.append((scope.path, 0, ""))
            return
        if message.kind == 1:
            await transport.send_bytes(message.data)
        elif message.data == "raise":
            raise ValueError("after accept")
        else:
            await transport.send_str(message.data)
