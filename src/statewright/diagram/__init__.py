"""Pictures of a workflow, read from its handlers' annotations: what can happen in which state, and where it leads.

```python
from statewright.diagram import analyse, dot, mermaid, text

print(text(router))     # for a terminal
print(mermaid(router))  # for GitHub, MkDocs, Notion, ...
print(dot(router))      # for Graphviz
assert analyse(router).is_sound
```
"""

from ._analysis import Analysis, analyse
from ._dot import dot
from ._graph import Arrow, Graph
from ._mermaid import mermaid
from ._page import markdown, rst
from ._text import text

__all__ = ["Analysis", "Arrow", "Graph", "analyse", "dot", "markdown", "mermaid", "rst", "text"]
