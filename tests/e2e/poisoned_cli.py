"""`echolane` with comparisons that fall for poison (tests/differ/poisoned_worker.py): a program for tests, never imported."""

from __future__ import annotations

import sys
from pathlib import Path

from console import comparing, main

POISONED = Path(__file__).resolve().parents[1] / "differ" / "poisoned_worker.py"

if __name__ == "__main__":
    comparing.WORKER = [sys.executable, str(POISONED), "worker"]
    comparing.SECOND_LOOK = [sys.executable, str(POISONED), "second_look"]
    sys.exit(main.main())
