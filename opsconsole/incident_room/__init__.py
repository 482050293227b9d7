"""What is kept and collected while there is an incident: its record, what changed, the report and the bundle."""
