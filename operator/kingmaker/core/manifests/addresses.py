"""Addresses as URLs and listeners spell them."""


def host_port(host: str, port: int) -> str:
    """Join a name or an IP address with a port; IPv6 addresses need brackets.

    >>> host_port("10.0.0.1", 80), host_port("fd00::1", 80), host_port("[::]", 80)
    ('10.0.0.1:80', '[fd00::1]:80', '[::]:80')
    """
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
