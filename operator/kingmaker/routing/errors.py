"""What can be wrong with what the routers are asked to do."""


class InvalidRouteError(ValueError):
    """A route that no router may be told, because requests would be lost or miscounted."""
