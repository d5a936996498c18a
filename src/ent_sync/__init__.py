"""ent-sync keeps a region's digital workspace (ENT) in step with the school authorities' directories."""

__version__ = "0.1.0"
