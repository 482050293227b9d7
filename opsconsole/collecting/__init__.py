"""Keeps what a monitor sees: samples and events into the store of metrics, whether a console is open or not."""
