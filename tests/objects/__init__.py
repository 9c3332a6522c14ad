"""A real S3 endpoint for the tests, and the faults that a network can inflict on calls to it."""

from .fault_proxy import FaultProxy, Mode
from .s3proxy import Endpoint, session_endpoint

__all__ = ["Endpoint", "FaultProxy", "Mode", "session_endpoint"]
