"""The version, in a file that imports nothing, so that whoever says it does not import the package's face."""

__version__ = "0.2.0"
