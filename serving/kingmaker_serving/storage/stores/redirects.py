"""Keep aiohttp from following redirects: to another host, it would send on all headers but one."""

import aiohttp

from kingmaker_serving.storage.stream import LastingError, advise


def refuse_redirects() -> aiohttp.TraceConfig:
    """Give what makes a session of aiohttp fail instead of following a redirect."""

    async def refuse(session: aiohttp.ClientSession, context: object, told: aiohttp.TraceRequestRedirectParams) -> None:
        del session, context
        message = f"status {told.response.status}: {advise(told.response.status)}"
        raise LastingError(message)

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace
