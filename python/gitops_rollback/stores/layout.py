"""How a record and its copies lie in an archive and in a folder, and how they are written."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError
from gitops_rollback.ledger.records import COPIES, RECORD_FILE, RECORD_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from gitops_rollback.ledger.records import MadeRecord


def write_record(made: MadeRecord, directory: Path) -> Path:
    """Write a record and its copies below a directory; return the path of `record.json`.

    They are written to a fresh folder: what an earlier run left there is removed first.
    """
    record = made.stored.record
    folder = directory / RECORD_FOLDER / record.environment / record.service
    try:
        if folder.exists():
            shutil.rmtree(folder)
        # From the top down: pathlib tries the deepest first, which is a failure at each level.
        os.makedirs(folder)  # noqa: PTH103 - see above
        for path, content in made.manifests.items():
            target = folder / COPIES / path
            os.makedirs(target.parent, exist_ok=True)  # noqa: PTH103 - the same
            target.write_bytes(content)
        file = folder / RECORD_FILE
        file.write_bytes(made.data)
    except OSError as error:
        raise ConfigError(
            f"the record cannot be written to {folder}: {error.strerror or error}",
            "give a directory one can write to with --record-dir",
        ) from error
    return file
