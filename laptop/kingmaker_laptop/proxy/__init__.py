"""The Service proxy of a laptop: cluster IPs are loopback addresses, and each connection to one goes to a ready pod.

It reads Services and Pods, not EndpointSlices, which refuse loopback addresses. TCP only. A Service port below 1024 is
served at 8000 + port, because an ordinary user can't listen below. NodePorts, load balancers and external names have no
effect; headless Services need none.
"""
