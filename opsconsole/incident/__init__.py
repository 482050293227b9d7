"""Thinks about an incident, and touches nothing: what is ill, what changed, what the runbook answers.

Pure functions over a Snapshot, its alerts and what `incident_room` has read: no file, no server, no clock.
"""
