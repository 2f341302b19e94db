"""The demo: a day of orders in a web shop, and a process that is killed while it writes.

`order` is the workflow itself. The rest makes up a day for it, lives through that day, and looks at what is kept.
"""

from .order import Order, router

__all__ = ["DEFINITION", "FILE", "Order", "router"]

FILE = "statewright-demo.db"
"""The file that the demo leaves behind where it was started, if it was told no other."""
DEFINITION = Order.name
"""By this name a file that the demo has left is known."""
