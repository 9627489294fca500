"""``python -m compiling``: build the compiled form of the differ; ``python -m compiling --drop``: go back to the pure one."""

from __future__ import annotations

import argparse
import shutil
import sys
import time

from compiling.building import NotBuilt, build
from echolane.compiled import BUILT


def main() -> int:
    """Build, or drop what was built."""
    parser = argparse.ArgumentParser(prog="python -m compiling", description=__doc__)
    parser.add_argument("--drop", action="store_true", help="remove the compiled form")
    if parser.parse_args().drop:
        shutil.rmtree(BUILT, ignore_errors=True)
        return 0
    begun = time.monotonic()
    try:
        build()
    except NotBuilt as error:
        print(f"no compiled form: {error}", file=sys.stderr)
        return 1
    print(f"compiled in {time.monotonic() - begun:.0f} s into {BUILT}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
