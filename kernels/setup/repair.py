"""Removes what an interrupted pip left half-installed, so that pip installs it again.

pip writes a distribution's RECORD last. A distribution without one, or whose files are not all there in the size that
RECORD states, loses its .dist-info folder: pip then takes it for missing and overwrites the rest. Prints what it removed.
Looks at this Python's own packages, or at the folder that is given.
"""

import csv
import shutil
import sys
import sysconfig
from pathlib import Path

packages = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("purelib"))


def whole(info):
    record = info / "RECORD"
    if not record.is_file():
        return False
    with record.open(newline="", encoding="utf-8") as rows:
        for path, _digest, size in csv.reader(rows):
            if path.endswith(".pyc"):
                continue
            file = packages / path
            # Scripts are rewritten at installation, so only files inside site-packages have the size they were packed with.
            if not file.is_file() or (size and not path.startswith("..") and file.stat().st_size != int(size)):
                return False
    return True


for info in sorted(packages.glob("*.dist-info")):
    if not whole(info):
        shutil.rmtree(info)
        print(info.name)
for leftover in packages.glob("~*"):
    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
