"""The version of this package; read by the build and printed by ``granian --version``."""

__version__ = "3.0.0"
