"""A Neutron without networks.

Nova has no mode without Neutron: also for servers on no network it asks for their ports when it shows, resizes or
deletes them. Lists are empty here, and nothing else is there.

    neutron_stub.py PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Empty(BaseHTTPRequestHandler):
    """Answers each list with an empty one, and anything else with 404."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, *rest = urlsplit(self.path).path.strip("/").split("/")
        if self.command == "GET" and len(rest) == 1:
            self.say(200, {rest[0].replace("-", "_"): []})
        else:
            self.say(404, {"NeutronError": {"type": "NotFound", "message": self.path, "detail": ""}})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def say(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Empty).serve_forever()
