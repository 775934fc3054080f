"""Servers of the stores that Kingmaker reads besides S3, by name.

`hub` is a server of these tests. Those of others take a minute to install, once, and run when `KINGMAKER_TEST_STORES`
names them: `gs`, `az`, `hf`.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.azureserver import AzureServer, running_azure_server
from support.gcsserver import GcsServer, running_gcs_server
from support.hubserver import HubServer, running_hub_server
from support.olahserver import OlahServer, running_olah_server

Store = GcsServer | AzureServer | OlahServer | HubServer
_OF_OTHERS = {"gs": running_gcs_server, "az": running_azure_server, "hf": running_olah_server}
_ASKED = os.environ.get("KINGMAKER_TEST_STORES", "").split(",")
ALL = ["hub", *(name for name in _OF_OTHERS if name in _ASKED)]
"""What runs here and now."""
ASKED = ALL if len(ALL) > 1 else list(_OF_OTHERS)
"""For tests that take seconds each: `hub` too, but only beside another."""


def running_store(name: str, folder: Path) -> AbstractContextManager[Store]:
    """Run a server with a place for files while the block runs."""
    return running_hub_server() if name == "hub" else _OF_OTHERS[name](folder)


def against(*names: str) -> pytest.MarkDecorator:
    """Mark tests that take the fixture `store`: they run against these of the stores, or say how to."""
    reason = f"its server takes minutes; KINGMAKER_TEST_STORES={','.join(_OF_OTHERS)} runs it"
    skips = {name: pytest.mark.skipif(name not in ALL, reason=reason) for name in names}
    return pytest.mark.parametrize("store", [pytest.param(name, marks=skips[name]) for name in names], indirect=True)
