"""The Open Inference Protocol over gRPC: its messages, its calls, and the HTTP/2 that they travel in.

Named like the library, which it does without; see docs/decisions/0016. Imports are absolute everywhere.
"""
