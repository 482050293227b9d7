"""Speed, compared inside one run with something outside: `docker`, and a minimal Textual program.

`make bench` prints the table. Ratios travel between machines, seconds do not; nothing here asserts.
"""
