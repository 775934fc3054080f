"""HTTP/2 as a gRPC server needs it (RFC 9113): header compression, frames, streams, flow control. Knows no gRPC."""
