"""The Hugging Face Hub and its mirrors: `hf://owner/repo/path`."""

from typing import Final

from kingmaker_serving.storage.plugin import Environment, Options, Plugin


def _options(uri: str, environment: Environment) -> Options:
    del uri
    return {"endpoint": environment.get("HF_ENDPOINT") or None, "token": environment.get("HF_TOKEN") or False}


HUB: Final = Plugin(
    package="huggingface_hub",
    options=_options,
    variables={
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    },
    refusals=frozenset({"LocalTokenNotFoundError"}),
)
