"""Strict RFC 8259 reading of one message: UTF-8, no NaN, no lone surrogates, any depth."""
import json
import re

BIG = 10 ** 20


def _int(s):
    if len(s) <= 20:
        return int(s)
    return -BIG if s[0] == "-" else BIG


def _const(s):
    raise ValueError("constant " + s)


_DECODER = json.JSONDecoder(parse_int=_int, parse_constant=_const)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|[^u]|u[0-9a-fA-F]{4})", re.S)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SPACE = re.compile(r"[ \t\n\r]*")


class NotJson(Exception):
    pass


def loads(raw):
    """bytes -> value; NotJson when it is not JSON."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJson("utf-8")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        value = _deep(text)
    except ValueError:
        raise NotJson("syntax")
    if "\\u" in text:
        for m in _ESCAPE.finditer(text):
            if m.group(1):
                raise NotJson("surrogate")
    return value


def _scalar(text, pos):
    """-> (value, end) of a string, number or word at pos."""
    c = text[pos:pos + 1]
    if c == '"':
        m = _STRING.match(text, pos)
        if not m:
            raise NotJson("string")
        return json.loads(m.group()), m.end()
    for word, val in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, pos):
            return val, pos + len(word)
    m = _NUMBER.match(text, pos)
    if not m:
        raise NotJson("value")
    s = m.group()
    return (float(s) if m.group(1) or m.group(2) else _int(s)), m.end()


def _deep(text):
    """The same language with a stack of its own, for nesting beyond the interpreter's."""
    stack = []          # [container, key or None]
    pos = _SPACE.match(text, 0).end()
    while True:
        # at a value
        c = text[pos:pos + 1]
        if c in ("{", "["):
            box = {} if c == "{" else []
            pos = _SPACE.match(text, pos + 1).end()
            if text[pos:pos + 1] == ("}" if c == "{" else "]"):
                value, pos = box, pos + 1
            else:
                stack.append([box, None])
                if c == "{":
                    pos = _key(text, pos, stack)
                continue
        else:
            value, pos = _scalar(text, pos)
        # a value is read; close what it ends
        while True:
            pos = _SPACE.match(text, pos).end()
            if not stack:
                if pos != len(text):
                    raise NotJson("rest")
                return value
            box, key = stack[-1]
            if isinstance(box, dict):
                box[key] = value
            else:
                box.append(value)
            c = text[pos:pos + 1]
            if c == ",":
                pos = _SPACE.match(text, pos + 1).end()
                if isinstance(box, dict):
                    pos = _key(text, pos, stack)
                break
            if c != ("}" if isinstance(box, dict) else "]") or not c:
                raise NotJson("comma")
            pos += 1
            value = box
            stack.pop()


def _key(text, pos, stack):
    m = _STRING.match(text, pos)
    if not m:
        raise NotJson("name")
    stack[-1][1] = json.loads(m.group())
    pos = _SPACE.match(text, m.end()).end()
    if text[pos:pos + 1] != ":":
        raise NotJson("colon")
    return _SPACE.match(text, pos + 1).end()
