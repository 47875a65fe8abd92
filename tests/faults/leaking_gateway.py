"""The gateway with a leak, made so on purpose: it keeps some memory of each answer.

python leaking_gateway.py BYTES
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

from multiner.serving.gateway import app
from multiner.serving.gateway.routes import entities


def main() -> int:
    """Keep BYTES of each answer, and serve."""
    size, answer, leaked = int(sys.argv[1]), entities.json_response, []

    def json_response(*arguments: Any, **options: Any) -> Any:
        leaked.append(b"x" * size)
        return answer(*arguments, **options)

    with patch.object(entities, "json_response", json_response):
        return app.main([])


if __name__ == "__main__":
    sys.exit(main())
