"""An image's health check: asks the process in this container over HTTP how it is. Exit 0: it is live.

`probe.py /ready` asks whether it is ready, `probe.py /live 8080` asks at another port. Plain standard library: it runs
every few seconds in every container.
"""

import http.client
import os
import sys


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else "/live"
    port = int(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("COHORTSTREAM_HEALTH__PORT", "9464"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(2000).decode("utf-8", "replace").strip()
    except OSError as error:
        said, status = f"no answer on port {port}: {error}", 0
    else:
        status = answer.status
    finally:
        connection.close()
    sys.stdout.write(said + "\n")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
