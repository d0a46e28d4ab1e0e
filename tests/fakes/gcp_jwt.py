# SPDX-License-Identifier: Apache-2.0
"""Keys of service accounts, and what they sign, checked with nothing but Python's integers: neither OpenSSL nor a line of the program
under test has a part in it."""
import base64
import hashlib
import json
import re
import subprocess

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_AUDIENCE = "https://oauth2.googleapis.com/token"
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")  # SHA-256, RFC 8017 section 9.2
LEEWAY = 30


class Bad(Exception):
    pass


class Key:
    """An RSA key pair. `pem` is what a key file holds; `n` and `e` are what a signature is checked with."""

    def __init__(self, bits=2048):
        self.pem = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"], check=True,
                                  capture_output=True, text=True).stdout
        text = subprocess.run(["openssl", "rsa", "-noout", "-modulus"], input=self.pem, check=True, capture_output=True, text=True).stdout
        self.n, self.e = int(text.strip().partition("=")[2], 16), 65537
        self.id = hashlib.sha1(text.encode()).hexdigest()

    def verifies(self, signed, signature):
        """RSASSA-PKCS1-v1_5 with SHA-256."""
        size = (self.n.bit_length() + 7) // 8
        if len(signature) != size:
            return False
        tail = b"\0" + DIGEST_INFO + hashlib.sha256(signed).digest()
        want = b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail
        return pow(int.from_bytes(signature, "big"), self.e, self.n).to_bytes(size, "big") == want


def decode(part):
    """base64url without padding, in its one spelling."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", part):
        raise Bad("not base64url")
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise Bad("base64url with bits to spare")
    return data


def strict_json(data):
    def once(pairs):
        if len({k for k, _ in pairs}) != len(pairs):
            raise Bad("a member twice")
        return dict(pairs)
    try:
        found = json.loads(data.decode(), object_pairs_hook=once)
    except ValueError as e:
        raise Bad(f"not JSON: {e}") from None
    if not isinstance(found, dict):
        raise Bad("no object")
    return found


def is_jwt(token):
    return token.count(".") == 2 and token.startswith("eyJ")


def read_jwt(token):
    """Header, claims, what is signed, signature."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Bad(f"{len(parts)} parts")
    header, claims = (strict_json(decode(p)) for p in parts[:2])
    return header, claims, f"{parts[0]}.{parts[1]}".encode(), decode(parts[2])


def check_signed(token, accounts, now):
    """Claims of a token that a key of `accounts` (email -> [Key]) has signed; the checks that all assertions have in common."""
    header, claims, signed, signature = read_jwt(token)
    if header.get("alg") != "RS256" or header.get("typ") != "JWT" or set(header) - {"alg", "typ", "kid"}:
        raise Bad(f"header {sorted(header)}")
    key = next((k for k in accounts.get(claims.get("iss"), []) if k.id == header.get("kid")), None)
    if not key:
        raise Bad("no such account or key")
    if not key.verifies(signed, signature):
        raise Bad("Invalid JWT Signature.")
    iat, exp = claims.get("iat"), claims.get("exp")
    if type(iat) is not int or type(exp) is not int or not 0 < exp - iat <= 3600:
        raise Bad("iat and exp")
    if iat > now + LEEWAY or exp <= now:
        raise Bad("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values "
                  "in the JWT claim.")
    return claims


def check_self_signed(token, accounts, now, audience, scopes):
    """(Email, scopes) of the token. AIP-4111: iss = sub, and either an audience or one of those scopes."""
    claims = check_signed(token, accounts, now)
    if claims.get("sub") != claims["iss"]:
        raise Bad("sub is not iss")
    if ("aud" in claims) == ("scope" in claims):
        raise Bad("either aud or scope")
    if "aud" in claims and claims["aud"] != audience:
        raise Bad("aud")
    held = claims.get("scope", SCOPE).split(" ")
    if not set(scopes) & set(held):
        raise Bad("scope")
    return claims["iss"], held


def check_assertion(token, accounts, now):
    """(Email, scope) of an assertion for the token endpoint."""
    claims = check_signed(token, accounts, now)
    if claims.get("aud") != TOKEN_AUDIENCE:
        raise Bad("Invalid JWT: aud")
    if not claims.get("scope"):
        raise Bad("no scope")
    return claims["iss"], claims["scope"]
