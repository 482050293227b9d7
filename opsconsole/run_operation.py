"""The process that carries an operation out: `python -m opsconsole.run_operation DIRECTORY OPERATION CONFIG PROJECT`.

Started by `operations.launch`, never typed: it needs none of the words that the command line knows. What is not
imported and not looked through for garbage is 0.15 s of a processor less before an operation begins.
"""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path


def main(directory: str, operation: str, config_file: str, project: str) -> int:
    """The operation's exit code; 2 with a line on stderr, which is its runner.log, when it cannot begin."""
    gc.disable()
    from opsconsole import config
    from opsconsole.model import SourceError
    from opsconsole.operations import runner
    from opsconsole.operations.places import operation_directory
    from opsconsole.text import mask_text, printable

    gc.freeze()
    gc.enable()
    # What a source could not do is said in the journal; Python would add a traceback of its own, with what it holds.
    logging.getLogger("opsconsole").addHandler(logging.NullHandler())
    stack = Path(directory)
    try:
        settings = config.load(Path(config_file)) if config_file else config.load_from(stack)
        return runner.run(stack, operation_directory(stack, operation), settings, project=project)
    except (SourceError, OSError) as error:
        hint = f" -> {error.hint}" if isinstance(error, SourceError) and error.hint else ""
        print(f"opsconsole: {printable(mask_text(f'{error}{hint}'))}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
