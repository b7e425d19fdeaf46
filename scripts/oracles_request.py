"""What the providers of scripts/oracles share: a request, and what most of them do with one. Each provider has

name         the source in the bridge's configuration
pack         its pack; the same as the name, unless several libraries are asked for one pack
sdk          where its library comes from, and what it is called there
case         the case of the pack whose body is signed afresh; never one for which the bridge would fetch something
signs        True where the library itself signs; else the few lines here do, and the library must confirm them
max_age_secs how old a signature may be for the library, or None where it does not look
secret       invented for this run; `other` is one of the same form that the bridge does not know
configured() how the secret is written into the configuration
sign(…)      the request with a genuine signature
vouch(…)     True where the library believes the request; else it raises, or it is False
change(…)    a signed request with one signed byte changed, or None where the signature covers none
lacks_send   why `salebridge send` cannot sign for it, or None
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

PUBLIC_URL = "https://hooks.example.com"


class Headers(dict):
    """Header fields, whose names are the same in either case."""

    def __init__(self, fields=()):
        super().__init__()
        for name, value in dict(fields).items():
            self[name] = value

    def __setitem__(self, name, value):
        super().__setitem__(name.lower(), value)

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


@dataclass
class Request:
    """One webhook, on its way to the bridge or from it."""

    path: str  # with its query
    headers: Headers
    body: bytes

    def with_headers(self, **fields):
        """A copy with these header fields; underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return replace(self, headers=Headers({**self.headers, **named}))

    def with_json(self, document):
        return replace(self, body=json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())

    def with_form(self, fields):
        return replace(self, body=urlencode(fields).encode())

    def json(self):
        return json.loads(self.body)

    def form(self):
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def query(self):
        return dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))

    def text(self):
        return self.body.decode()


class Provider:
    """What most of them have in common."""

    signs = False
    max_age_secs = None
    lacks_send = None

    def __init_subclass__(cls):
        if "name" in vars(cls) and "pack" not in vars(cls):
            cls.pack = cls.name

    def __init__(self):
        self.secret, self.other = self.invent(), self.invent()

    def invent(self):
        return secrets.token_urlsafe(32)

    def configured(self):
        return {"secrets": [self.secret]}

    def change(self, request):
        return replace(request, body=other_digit(request.body))


class UserAndPassword:
    """What is sent only shows that the sender knows them: nothing of the body is signed."""

    def invent(self):
        return {"username": secrets.token_hex(8), "password": secrets.token_urlsafe(16)}

    def configured(self):
        return {"named_secrets": self.secret}

    def change(self, request):
        return None


def other_digit(text):
    """The bytes with their last digit changed: still JSON or a form, but not what was signed."""
    place = max(text.rfind(digit) for digit in b"0123456789")
    return text[:place] + bytes([ord("0") + (text[place] - ord("0") + 1) % 10]) + text[place + 1 :]


def hmac_sha256(key, message):
    key, message = (part.encode() if isinstance(part, str) else part for part in (key, message))
    return hmac.new(key, message, hashlib.sha256)


def hmac_base64(key, message):
    return base64.b64encode(hmac_sha256(key, message).digest()).decode()


def seconds(at):
    return int(at or time.time())
