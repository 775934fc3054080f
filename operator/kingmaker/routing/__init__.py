"""The routers: what each Envoy shall do, as a value, and the xDS server that tells them and hears what they took."""
