"""Loaded by a server that is started with this folder in PYTHONPATH: at SIGUSR1 it writes what is
alive of uploads to $OCT_ALIVE.
"""

from __future__ import annotations

import gc
import json
import os
import signal
from pathlib import Path


def tell(_signal: int, _frame: object) -> None:
    """Uploaded scans, and long texts that hold a picture (HTML of the pages, in whatever cache)."""
    gc.collect()
    gc.unfreeze()
    alive = gc.get_objects()
    scans = [one for one in alive if type(one).__name__ == "Scan" and one.source == "upload"]
    texts = {
        id(part): part
        for one in alive
        for part in gc.get_referents(one)
        if type(part) is str and len(part) > 20_000
    }
    pictures = [text for text in texts.values() if "data:image/" in text]
    gc.freeze()  # as it was: a cycle from before is not to be collected only since somebody looked
    part = Path(os.environ["OCT_ALIVE"] + ".part")
    part.write_text(json.dumps({"scans": len(scans), "pictures": len(pictures)}))
    part.rename(os.environ["OCT_ALIVE"])


if "OCT_ALIVE" in os.environ:
    signal.signal(signal.SIGUSR1, tell)
