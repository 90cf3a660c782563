"""cars-bench: many architecture questions of a frozen backbone for one pass over the images."""

__version__ = "0.1.0"
SCHEMA_VERSION = 1
