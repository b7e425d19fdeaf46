"""The two ends of the bridge that scripts/sdk-check holds in its hands: the bridge itself, in a folder of its own, and a
stand-in for CutMeShort as its only upstream. Nothing here judges what they say.
"""

import http.client
import http.server
import json
import secrets
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

PATIENCE_SECS = 20
TOKEN = f"test_token_{secrets.token_hex(12)}"


class Digits(str):
    """A JSON number, as it was written."""


def parse(text):
    """JSON with its numbers as written; a key that appears twice is refused."""

    def build(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"a key appears twice: {[key for key, _ in pairs]}")
        return dict(pairs)

    return json.loads(text, parse_int=Digits, parse_float=Digits, object_pairs_hook=build)


@dataclass
class Post:
    """One request that the stand-in received."""

    method: str
    path: str
    headers: dict
    body: str


class Upstream:
    """Stands in for CutMeShort: keeps every request and answers as CutMeShort does."""

    def __init__(self):
        posts = self.posts = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                posts.append(Post(self.command, self.path, headers, body))
                reply = b'{"status":true,"data":"Sale tracked"}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sales(self):
        """The bodies so far; one that is not JSON counts as empty and is reported later."""
        found = []
        for post in list(self.posts):
            try:
                found.append((post, parse(post.body)))
            except ValueError:
                found.append((post, {}))
        return found

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Reply:
    """What the bridge said to a sender."""

    status: int
    kind: str
    body: dict


class Bridge:
    """The bridge under check, in a folder of its own."""

    def __init__(self, binary, folder, providers, upstream):
        self.binary = str(binary)
        self.folder = folder
        self.port = free_port()
        self.log = folder / "bridge.log"
        self.process = None
        (folder / "config.toml").write_text(config(self.port, providers, upstream))

    def start(self):
        with self.log.open("wb") as log:
            command = [self.binary, "--config", "config.toml", "serve"]
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.is_ready, "the bridge did not become ready: GET /readyz never answered 200")

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the bridge ended with exit code {self.process.returncode}")
        try:
            return self.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            try:
                parsed = json.loads(text)
            except ValueError:
                parsed = {"not JSON": text[:200].decode(errors="replace")}
            return Reply(answer.status, answer.getheader("Content-Type", ""), parsed)
        finally:
            connection.close()

    def list(self, what):
        """A listing of the command line, its numbers as written."""
        command = [self.binary, "--config", "config.toml", what, "list", "--json"]
        done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"`{what} list --json` ended with exit code {done.returncode}: {done.stderr.strip()[:500]}")
        return parse(done.stdout)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def config(port, providers, upstream):
    quoted = json.dumps  # the strings here are the same in TOML
    parts = [f'[server]\nlisten = "127.0.0.1:{port}"\n\n[store]\nurl = "sqlite:sdk-check.db"\n']
    for provider in providers:
        name = quoted(provider.name)
        parts.append(f"[[sources]]\nname = {name}\npack = {name}\nsecrets = {quoted(provider.secrets)}\n")
    parts.append(
        f'[[upstreams]]\nname = "cutmeshort"\ntemplate = "cutmeshort"\ntoken = {quoted(TOKEN)}\n'
        f"base_url = {quoted(upstream.url)}\nrequests_per_minute = 60000\n"
    )
    return "\n".join(parts)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(is_done, complaint):
    """Asks until it is done; gives up after a while."""
    deadline = time.monotonic() + PATIENCE_SECS
    while not is_done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{complaint} (waited {PATIENCE_SECS} s)")
        time.sleep(0.05)
