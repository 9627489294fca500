"""One command as a part of `echolane up`: ``python -P -m console.up_part PARENT SIGNS COMMAND …``.

Told to drain when its parent dies; signs of life go to the descriptor SIGNS.
"""

from __future__ import annotations

import sys

from console.main import main
from echolane import vital
from echolane.service import die_with_parent

if __name__ == "__main__":
    # Asked for by the part itself, not between fork and exec: nothing of a process with threads runs there.
    # The kernel tells it when the thread dies that started it; that is the parent's main one, which lives as long as it does.
    die_with_parent(int(sys.argv[1]))
    vital.to(int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
