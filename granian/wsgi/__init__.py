"""The WSGI interface (PEP 3333). Loads no asyncio."""
