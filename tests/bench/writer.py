"""Writes lines that carry their own time of birth, at a steady rate: `python writer.py SECONDS LINES_PER_SECOND FILE`.

Every time of birth (milliseconds since 1970) is also noted in FILE.
"""

import sys
import time

TICK = 0.02

if __name__ == "__main__":
    lines = int(float(sys.argv[2]) * TICK)
    due = time.time()
    end = due + float(sys.argv[1])
    with open(sys.argv[3], "w") as births:
        while due < end:
            born = int(time.time() * 1000)
            sys.stdout.write("".join(f"flow LAG{born:013d} x{number:080d}\n" for number in range(lines)))
            sys.stdout.flush()
            births.write(f"{born}\n")
            # Against the clock, not from the end of the last write: the rate stays what was asked for.
            due += TICK
            time.sleep(max(0.0, due - time.time()))
