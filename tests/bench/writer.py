"""Writes lines that carry their own time of birth, at a steady rate: `python writer.py SECONDS LINES_PER_SECOND`."""

import sys
import time

TICK = 0.02

if __name__ == "__main__":
    end, lines = time.time() + float(sys.argv[1]), int(float(sys.argv[2]) * TICK)
    while time.time() < end:
        began = time.time()
        sys.stdout.write("".join(f"flow LAG{int(time.time() * 1000):013d} x{number:080d}\n" for number in range(lines)))
        sys.stdout.flush()
        time.sleep(max(0.0, began + TICK - time.time()))
