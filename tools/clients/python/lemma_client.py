"""Attach a Lemma proof to HTTP requests: one module, needs `cryptography` and nothing else.

    proof = load("my-runtime.proof.json", "my-runtime.key")       # what `lemma firewall-connect` wrote
    status, headers, body = proof.request("GET", "https://api.example.com/v1/documents/1")
    requests.get(url, auth=proof.auth(), allow_redirects=False)    # the same with `requests`
    run = proof.narrow("job-1", operations=10, scope=["documents.read"])
    proof = proof.renewed("https://lemma.example.com")             # before it ends

Without a key the credential is shown as a bearer's. The wire format: test/vectors in the repository.
"""

import base64
import hashlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["Denied", "LemmaError", "Proof", "load"]

# The longest life of a run, seconds, and the one it gets when nobody asks.
RUN_TTL_MOST, RUN_TTL_USUAL = 900, 300
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class LemmaError(Exception):
    """What goes wrong before anything is sent, or around it. The message names the mend."""


class Denied(LemmaError):
    """A request was denied. `lemma decisions explain <decision_id>` says why."""

    def __init__(self, reason, status, decision_id):
        super().__init__(f"denied: {reason} ({decision_id})")
        self.reason, self.status, self.decision_id = reason, status, decision_id


def load(proof_file, key_file=None):
    """A proof of its files: the credential's JSON, and the seed of its key as base64url."""
    with open(proof_file, encoding="utf-8") as file:
        credential = json.load(file)
    if key_file is None:
        return Proof(credential)
    with open(key_file, encoding="ascii") as file:
        return Proof(credential, from_base64url(file.read().strip()))


class Proof:
    """A credential, and the 32-byte seed of the key that its leaf binds; None: it is shown as a bearer's."""

    def __init__(self, credential, seed=None):
        if not isinstance(credential, dict) or credential.get("type") not in ("runtime", "run"):
            raise LemmaError("credential: must be the JSON of a runtime's or a run's proof")
        self.credential = credential
        self._key = None if seed is None else Ed25519PrivateKey.from_private_bytes(seed)
        if self._key is not None and public_bytes(self._key) != credential["key"]:
            raise LemmaError("seed: must be that of the key that the credential binds")
        # ASCII escapes and no spaces: any JSON of the same members will do, and this one is short.
        text = json.dumps(credential, ensure_ascii=False, separators=(",", ":"))
        self.header = to_base64url(text.encode("utf-8"))

    def headers(self, method, url, body=b"", now=None, nonce=None):
        """Headers to add to exactly this request. `now`: seconds since 1970."""
        if self._key is None:
            return {"X-Lemma-Credential": self.header}
        authority, path, query = target_of(url)
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:" if body else None
        components = {
            "@method": method,
            "@authority": authority,
            "@path": path,
            "@query": query,
            **({} if digest is None else {"content-digest": digest}),
            "x-lemma-proof": self.header,
        }
        nonce = to_base64url(os.urandom(18)) if nonce is None else nonce
        created = int(time.time() if now is None else now)
        names = " ".join(f'"{name}"' for name in components)
        params = (
            f'({names});created={created};nonce="{nonce}";keyid="{thumbprint(self.credential["key"])}"'
            ';alg="ed25519";tag="lemma-pop"'
        )
        lines = [f'"{name}": {value}' for name, value in components.items()]
        base = "\n".join([*lines, f'"@signature-params": {params}'])
        signature = base64.b64encode(self._key.sign(base.encode("utf-8"))).decode()
        return {
            "X-Lemma-Proof": self.header,
            "X-Lemma-PoP": f"input={params}, signature=:{signature}:",
            **({} if digest is None else {"Content-Digest": digest}),
        }

    def request(self, method, url, body=b"", headers=None, gateways=(), timeout=30):
        """Sends it, and returns (status, headers, body). A redirect is returned, not followed: it could take the
        proof elsewhere. `gateways`: origins beside the proof's audience that may see it, such as a firewall's.

        Raises Denied, LemmaError, and what urllib raises where nobody answers.
        """
        self.require_origin(url, gateways)
        signed = {**(headers or {}), **self.headers(method, url, body)}
        # urllib would call bytes a form.
        signed = {"Content-Type": "application/octet-stream", **signed} if body else signed
        return send(method, url, body, signed, timeout)

    def auth(self, gateways=()):
        """For `requests`: requests.post(url, data=…, auth=proof.auth(), allow_redirects=False)."""

        def sign(request):
            self.require_origin(request.url, gateways)
            body = request.body or b""
            body = body.encode("utf-8") if isinstance(body, str) else body
            if not isinstance(body, bytes):
                raise LemmaError("body: a PoP covers it whole, so give it whole: bytes or text, no stream")
            if body:
                request.body = body
                request.headers["Content-Length"] = str(len(body))
            request.headers.update(self.headers(request.method, request.url, body))
            return request

        return sign

    def require_origin(self, url, gateways=()):
        """Raises LemmaError for an origin that the proof is not for: it is not shown to it."""
        parts = urllib.parse.urlsplit(url)
        origin = f"{parts.scheme}://{target_of(url)[0]}"
        if origin not in self.credential["audience"] and origin not in gateways:
            raise LemmaError(f"{origin} is not in the proof's audience: the proof was not shown to it")

    def narrow(self, run_id, operations, scope=None, audience=None, ttl_s=RUN_TTL_USUAL, bounds=None, now=None):
        """A proof for one job, with a key and a budget of its own, signed here: nobody is asked."""
        parent = {name: value for name, value in self.credential.items() if name != "chain"}
        if parent["type"] != "runtime" or self._key is None:
            raise LemmaError("a run is made of a runtime's proof, with its key")
        if not ID.fullmatch(run_id):
            raise LemmaError("run_id: must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit")
        if not 1 <= operations <= 1_000_000 or not 1 <= ttl_s <= RUN_TTL_MOST:
            raise LemmaError(f"operations: 1 to 1,000,000; ttl_s: 1 to {RUN_TTL_MOST}")
        seed = os.urandom(32)
        begin = max(int(time.time() if now is None else now), parent["not_before"])
        claims = {"run_id": run_id, "budget": {"operations": operations}}
        leaf = {
            "v": 1,
            "type": "run",
            "id": f"lem_{to_base64url(os.urandom(16))}",
            "issuer": thumbprint(parent["key"]),
            "subject": parent["subject"],
            "key": public_bytes(Ed25519PrivateKey.from_private_bytes(seed)),
            "audience": parent["audience"] if audience is None else list(audience),
            "scope": parent["scope"] if scope is None else list(scope),
            "issued_at": begin,
            "not_before": begin,
            "expires_at": min(begin + ttl_s, parent["expires_at"]),
            "parent": parent_hash(parent),
            "claims": claims if bounds is None else {**claims, "bounds": bounds},
        }
        leaf["signature"] = to_base64url(self._key.sign(signed_bytes(leaf)))
        return Proof({**leaf, "chain": [*self.credential["chain"], parent]}, seed)

    def renewed(self, control, timeout=10):
        """The runtime's next proof, asked of the control plane with this one. Keep its `credential`."""
        if self._key is None or self.credential["type"] != "runtime":
            raise LemmaError("only a runtime's proof is renewed, with its key")
        url = f"{control}/api/wallet/runtimes/issue-proof"
        body = json.dumps(
            {
                "runtime_id": self.credential["claims"]["runtime_id"],
                **{name: self.credential[name] for name in ("key", "scope", "audience")},
            }
        ).encode("utf-8")
        headers = {"Content-Type": "application/json", **self.headers("POST", url, body)}
        status, _, answer = send("POST", url, body, headers, timeout)
        if status != 200:
            raise LemmaError(f"the control plane answered {status}")
        credential = json.loads(answer)["credential"]
        if credential["key"] != self.credential["key"]:
            raise LemmaError("the control plane answered with another key's proof")
        renewed = Proof(credential)
        renewed._key = self._key
        return renewed


def send(method, url, body, headers, timeout):
    """One exchange. Raises Denied for an answer that is a denial."""
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with OPENER.open(request, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            answer = error.read()
            raise_denial(error.code, error.headers, answer)
            return error.code, error.headers, answer


def raise_denial(status, headers, answer):
    try:
        body = json.loads(answer)
    except ValueError:
        return
    if isinstance(body, dict) and body.get("success") is False and isinstance(body.get("error"), str):
        raise Denied(body["error"], status, body.get("decision_id") or headers.get("x-lemma-decision-id"))


class KeepRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would take the headers along to any host."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(KeepRedirects)


def target_of(url):
    """(authority, path, query) as they are signed: RFC 9421, section 2.2."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None or "@" in parts.netloc:
        raise LemmaError(f"url: must be http or https, with a host and without a user: {url}")
    if not re.fullmatch(r"[!-~]*", parts.netloc + parts.path + parts.query) or re.search(r"\\|//|/\.\.?(/|$)", parts.path):
        raise LemmaError("url: give it in its normal form, percent-encoded (urllib.parse.quote)")
    authority = parts.netloc.lower()
    default = ":80" if parts.scheme == "http" else ":443"
    return authority.removesuffix(default), parts.path or "/", f"?{parts.query}"


def signed_bytes(lemma):
    """ASCII `lemma/v1/<type>`, a line end, and the RFC 8785 form of the lemma without signature and chain."""
    members = {name: value for name, value in lemma.items() if name not in ("signature", "chain")}
    # Of what a lemma holds (ASCII names, strings, whole numbers) this is the RFC 8785 form.
    canonical = json.dumps(members, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f"lemma/v1/{lemma['type']}\n{canonical}".encode("utf-8")


def parent_hash(lemma):
    return to_base64url(hashlib.sha256(signed_bytes(lemma) + from_base64url(lemma["signature"])).digest())


def thumbprint(key):
    """RFC 7638 thumbprint of an Ed25519 public key in base64url."""
    return to_base64url(hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{key}"}}'.encode()).digest())


def public_bytes(key):
    return to_base64url(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def to_base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def main():
    """python lemma_client.py METHOD URL [BODY], with LEMMA_PROOF_FILE and, for a PoP, LEMMA_KEY_FILE."""
    proof = load(os.environ["LEMMA_PROOF_FILE"], os.environ.get("LEMMA_KEY_FILE"))
    method, url, *body = sys.argv[1:]
    status, _, answer = proof.request(method, url, "".join(body).encode("utf-8"))
    print(status, answer.decode("utf-8", "replace"))


if __name__ == "__main__":
    main()
