"""The embedded ENT directory: one SQLite file, which an ENT reads through views while we write it."""

from ent_sync.targets.embedded.target import EmbeddedTarget

__all__ = ["EmbeddedTarget"]
