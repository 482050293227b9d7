"""opsconsole: a terminal console for the server that runs a Docker Compose stack."""

__version__ = "0.1.0"
