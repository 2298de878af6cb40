"""Signed links to results: each is fresh, each expires, and none survives being encoded again."""

import base64
import hashlib
import hmac
import urllib.parse

import attrs

# The encoded slash, plus and equals signs are in every link, so that a client that decodes them is always caught.
POLICY = "Policy=read%2Fonly%2B%3D%3D"


@attrs.define(kw_only=True)
class LinkSigner:
    """Makes and checks links, without keeping any."""

    base_url: str
    """The scheme, host and port in front of the links."""
    key: bytes = attrs.field(repr=False)
    """The secret that signs them."""
    made: int = 0
    """How many were made; it makes each of them another."""

    def make(self, token: str, expires_s: float) -> str:
        """Make a link to the result with this token that expires at a Unix time in seconds."""
        self.made += 1
        target = f"/cdn/result%2F{token}.mp4?{POLICY}&Expires={expires_s:.3f}&Nonce={self.made}"
        return f"{self.base_url}{target}&Signature={self._sign(target)}"

    def check(self, target: str, now_s: float) -> str | None:
        """Say what is wrong with a requested path and query exactly as received, or None."""
        signed, _, signature = target.partition("&Signature=")
        if not hmac.compare_digest(self._sign(signed).encode(), signature.encode("utf-8", "surrogateescape")):
            return "SignatureDoesNotMatch"
        expires = urllib.parse.parse_qs(urllib.parse.urlsplit(signed).query)["Expires"][0]
        return "ExpiredToken" if now_s >= float(expires) else None

    def _sign(self, target: str) -> str:
        digest = hmac.digest(self.key, target.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return urllib.parse.quote(base64.b64encode(digest).decode(), safe="")


def read_token(target: str) -> str:
    """Read the token of a result out of a requested path."""
    path = target.partition("?")[0]
    return path.removeprefix("/cdn/result%2F").removesuffix(".mp4")
