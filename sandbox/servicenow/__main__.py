"""Serves the instance: `python -m sandbox.servicenow --port 8080 --database instance.db`.

The account comes from SERVICENOW_USERNAME and SERVICENOW_PASSWORD.
"""

import argparse
import os
from pathlib import Path

import uvicorn

from sandbox.servicenow.app import create_app
from sandbox.servicenow.store import Store


def main() -> None:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servicenow", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--tls-cert", type=Path, help="serve HTTPS with this certificate")
    parser.add_argument("--tls-key", type=Path, help="the certificate's key")
    options = parser.parse_args()
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    missing = [n for n in ("SERVICENOW_USERNAME", "SERVICENOW_PASSWORD") if not os.environ.get(n)]
    if missing:
        parser.error(f"set {' and '.join(missing)} in the environment")
    app = create_app(
        Store(options.database),
        username=os.environ["SERVICENOW_USERNAME"],
        password=os.environ["SERVICENOW_PASSWORD"],
    )
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        access_log=False,
    )


if __name__ == "__main__":
    main()
