# SPDX-License-Identifier: Apache-2.0
"""The filter language of Google's listings (AIP-160, as far as Secret Manager's page has it): `field:text` is found in, `=` and `!=`
equal, `<` and the like for times, AND, OR (which binds tighter), NOT or `-`, parentheses, quotes. Anything else is Bad.

    keep = compile_filter('name:db OR labels.env=prod')
    keep({"name": ..., "labels": {...}, ...})
"""
import re

WORDS = re.compile(r'\s*(?:([()])|(<=|>=|!=|[:=<>])|("(?:[^"\\]|\\.)*")|([^\s()<>=!:"]+))')
STATES = ("STATE_UNSPECIFIED", "ENABLED", "DISABLED", "DESTROYED")


class Bad(Exception):
    pass


def words(text):
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        m = WORDS.match(text, at)
        if not m:
            raise Bad(f"at {at}")
        bracket, operator, quoted, plain = m.groups()
        if quoted is not None:
            found.append(("text", re.sub(r"\\(.)", r"\1", quoted[1:-1])))
        else:
            found.append(("bracket", bracket) if bracket else ("operator", operator) if operator else ("word", plain))
        at = m.end()
    return found


class Parser:
    def __init__(self, text):
        self.left = words(text)

    def peek(self):
        return self.left[0] if self.left else (None, None)

    def take(self, *want):
        if self.left and (not want or self.peek() in want):
            return self.left.pop(0)
        return None

    def all_of(self):
        parts = [self.any_of()]
        while self.left and self.peek() != ("bracket", ")"):
            self.take(("word", "AND"))
            parts.append(self.any_of())
        return lambda x: all(p(x) for p in parts)

    def any_of(self):
        parts = [self.term()]
        while self.take(("word", "OR")):
            parts.append(self.term())
        return lambda x: any(p(x) for p in parts)

    def term(self):
        if self.take(("word", "NOT")):
            inner = self.term()
            return lambda x: not inner(x)
        if self.take(("bracket", "(")):
            inner = self.all_of()
            if not self.take(("bracket", ")")):
                raise Bad("a parenthesis is not closed")
            return inner
        return self.restriction()

    def restriction(self):
        kind, field = self.take() or (None, None)
        if kind != "word" or field in ("AND", "OR"):
            raise Bad("a field is expected")
        negative = field.startswith("-")
        operator, value = self.take(), self.take()
        if not operator or operator[0] != "operator" or not value or value[0] not in ("word", "text"):
            raise Bad(f"no operator and value after {field}")
        if value[1].startswith("~") and value[0] == "word":
            raise Bad("=~ is gcloud's own")
        value = value[1]
        while self.take(("operator", ":")):  # times have colons
            value += ":" + (self.take() or ("", ""))[1]
        test = compare(field.lstrip("-"), operator[1], value)
        return (lambda x: not test(x)) if negative else test


def field_of(entry, path):
    """What the reply has for it, in the words of the reply; None = nothing."""
    names = path.split(".", 1) if path.startswith(("labels.", "annotations.")) else path.split(".")
    for n in names:
        n = re.sub(r"_([a-z])", lambda m: m.group(1).upper(), n) if entry is not None and n not in entry else n
        entry = entry.get(n) if isinstance(entry, dict) else None
    return entry


def compare(path, operator, value):
    if path.split(".")[0] not in ("name", "labels", "annotations", "create_time", "createTime", "expire_time", "expireTime", "state", "topics", "etag"):
        raise Bad(f"unknown field {path}")
    if path == "state" and value not in STATES:
        raise Bad(f"unknown state {value}")
    if operator in ("<", ">", "<=", ">=") and not path.endswith(("_time", "Time")):
        raise Bad(f"{operator} is for times")

    def test(entry):
        have = field_of(entry, path)
        if operator == ":":
            if value == "*":
                return have is not None
            return value in have if isinstance(have, (str, dict)) else False
        if operator in ("=", "!="):
            return (have == value) == (operator == "=")
        return have is not None and {"<": have < value, ">": have > value, "<=": have <= value, ">=": have >= value}[operator]
    return test


def compile_filter(text):
    p = Parser(text)
    if not p.left:
        return lambda entry: True
    whole = p.all_of()
    if p.left:
        raise Bad(f"what is {p.left[0][1]} for?")
    return whole
