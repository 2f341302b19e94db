"""Publishers for brokers: NATS JetStream (extra `nats`), and whatever FastStream serves (extra `faststream`).

Each is given to a `Worker`. Delivery is at least once, in order for each workflow; a repetition carries the same
message id, which is the commit's. Messages are CloudEvents in binary mode: attributes as headers, the commit as JSON.
"""

from .cloud_event import attributes, body
from .faststream import FastStreamPublisher
from .nats import NatsPublisher

__all__ = ["FastStreamPublisher", "NatsPublisher", "attributes", "body"]
