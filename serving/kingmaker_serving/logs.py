"""Logs as one JSON object per line. Never payloads, tensors or tokens."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from typing_extensions import override

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_STORES: Final = (
    *("fsspec", "s3fs", "aiobotocore", "botocore", "urllib3", "gcsfs", "google", "adlfs", "azure", "msal"),
    *("huggingface_hub", "httpx2", "httpcore2", "filelock"),
)


class JsonLines(logging.Formatter):
    """Writes a record's constant message with its fields."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"at": at, "level": record.levelname, "logger": record.name}
        line["message"] = record.getMessage()
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-4000:]
        return json.dumps(line, default=str, ensure_ascii=False)


def configure_logs(level: str) -> None:
    """Send all logs of this process to stderr, from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # They write addresses with signatures into what they log; what they have to say is in our reasons, without them.
    for name in _STORES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
