"""What happens to files, and what is done to them on purpose: seeded, so that a find can be repeated."""

import random
import re

EXTREME = [
    "-1",
    "0",
    "1",
    "2",
    "63",
    "64",
    "1000000000",
    "2147483647",
    "-2147483648",
    "4294967296",
    "18446744073709551615",
]
EXTREME += ["1e308", "-1e308", "1e400", "nan", "inf", "-inf", "NaN", "Infinity", "", " ", "x", "0x10", "1_0", "٣", "-"]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The file after some mishaps: cut, bytes changed, a number replaced, a line dropped, doubled or moved."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice([cut, flipped, numbered, numbered, numbered, lined, spliced])(data, rng)
    return data


def cut(data: bytes, rng: random.Random) -> bytes:
    """The beginning of it, or all but the beginning."""
    place = rng.randrange(len(data) + 1)
    return data[:place] if rng.random() < 0.8 else data[place:]


def flipped(data: bytes, rng: random.Random) -> bytes:
    """With some bits, or bytes, changed."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 4, 32])):
        if found:
            place = rng.randrange(len(found))
            found[place] = rng.choice([found[place] ^ 1 << rng.randrange(8), rng.randrange(256)])
    return bytes(found)


def numbered(data: bytes, rng: random.Random) -> bytes:
    """With a number replaced."""
    numbers = list(re.finditer(rb"-?\d[\d.e+-]*", data))
    if not numbers:
        return data
    one = rng.choice(numbers)
    other = rng.choice([*EXTREME, rng.choice(numbers).group().decode()]).encode()
    return data[: one.start()] + other + data[one.end() :]


def lined(data: bytes, rng: random.Random) -> bytes:
    """With a line dropped, doubled, or exchanged with another one."""
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[one]
        case 1:
            lines.insert(one, lines[one])
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def spliced(data: bytes, rng: random.Random) -> bytes:
    """With a piece of it removed, or repeated elsewhere."""
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    last = min(last, first + rng.choice([1, 4, 16, 400, len(data)]))
    place = rng.choice([first, rng.randrange(len(data) + 1)])
    return data[:first] + data[last:] if rng.random() < 0.5 else data[:place] + data[first:last] + data[place:]


ODD_VALUES = [
    float("nan"), float("inf"), -1, -0.5, 0, 1, 2, 0.5, 1e308, 5e-324, 2**31, 2**63, 10**400,
    "", "nan", "0.5", "\ud800", "a\0b", "../x", None, [], [0], {}, True, False,
]  # fmt: skip


def leaves(value, path=()):
    """The way to each value of a JSON text that is not an object or list, and to each of those."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from leaves(one, (*path, key))


def changes(value):
    """A JSON text with one thing changed in it: the way to that, what was done, and the whole."""
    for path in leaves(value):
        for odd in ODD_VALUES:
            yield path, repr(odd)[:20], replaced(value, path, lambda holder, key, odd=odd: holder.__setitem__(key, odd))
        yield path, "absent", replaced(value, path, lambda holder, key: holder.__delitem__(key))
        yield path, "more", replaced(value, path, more)
    yield (), "more", value | {"more": 1}


def more(holder, key):
    """Something added: a field, a value, a character."""
    found = holder[key]
    if isinstance(found, dict):
        holder[key] = found | {"more": 1}
    elif isinstance(found, list):
        holder[key] = [*found, *found[-1:]] or [0]
    elif isinstance(found, str):
        holder[key] = found + "x"
    else:
        holder[key] = [found]


def replaced(value, path, change):
    """A copy with one place changed; the rest is shared."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        change(copy, path[0])
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], change)
    return copy
