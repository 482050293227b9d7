"""python -m tests.parts install | up | env | down"""

from __future__ import annotations

import argparse
import shlex
import sys

from tests.parts import engine, images
from tests.parts.install import install
from tests.parts.machine import PartsError


def main() -> int:
    """Run one command; a missing part is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.parts", description=__doc__)
    parser.add_argument("command", choices=["install", "up", "env", "down"])
    command = parser.parse_args().command
    try:
        if command == "install":
            install()
        elif command == "up":
            install()
            ready = engine.find_or_start()
            images.build_all(ready)
            print(f"engine {ready.version()} at {ready.docker_host}")
        elif command == "env":
            for name, value in engine.find().env.items():
                print(f"export {name}={shlex.quote(value)}")
        else:
            engine.down()
    except PartsError as problem:
        print(f"parts: {problem}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
