"""XXH3-64, seed 0, all lengths (for the order of facts at one instant)."""
from functools import lru_cache

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8"
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea"
    "c5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b"
    "16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
M64 = (1 << 64) - 1
M32 = (1 << 32) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
PMX1, PMX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25


def _r64(b, i):
    return int.from_bytes(b[i:i + 8], "little")


def _r32(b, i):
    return int.from_bytes(b[i:i + 4], "little")


def _fold(a, b):
    p = a * b
    return (p & M64) ^ (p >> 64)


def _avalanche(h):
    h ^= h >> 37
    h = h * PMX1 & M64
    return h ^ (h >> 32)


def _xxh64_avalanche(h):
    h ^= h >> 33
    h = h * P64_2 & M64
    h ^= h >> 29
    h = h * P64_3 & M64
    return h ^ (h >> 32)


def _mix16(b, i, s):
    return _fold(_r64(b, i) ^ _r64(SECRET, s), _r64(b, i + 8) ^ _r64(SECRET, s + 8))


def _swap64(x):
    return int.from_bytes(x.to_bytes(8, "little"), "big")


def _small(b, n):
    if n > 8:
        lo = _r64(b, 0) ^ (_r64(SECRET, 24) ^ _r64(SECRET, 32))
        hi = _r64(b, n - 8) ^ (_r64(SECRET, 40) ^ _r64(SECRET, 48))
        return _avalanche((n + _swap64(lo) + hi + _fold(lo, hi)) & M64)
    if n >= 4:
        v = (_r32(b, n - 4) + (_r32(b, 0) << 32)) ^ (_r64(SECRET, 8) ^ _r64(SECRET, 16))
        v ^= ((v << 49 | v >> 15) ^ (v << 24 | v >> 40)) & M64
        v = v * PMX2 & M64
        v ^= (v >> 35) + n
        v = v * PMX2 & M64
        return v ^ (v >> 28)
    if n:
        c = b[0] << 16 | b[n >> 1] << 24 | b[n - 1] | n << 8
        return _xxh64_avalanche(c ^ (_r32(SECRET, 0) ^ _r32(SECRET, 4)))
    return _xxh64_avalanche(_r64(SECRET, 56) ^ _r64(SECRET, 64))


def _middle(b, n):
    acc = n * P64_1 & M64
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            acc += _mix16(b, 16 * i, 32 * i) + _mix16(b, n - 16 * (i + 1), 32 * i + 16)
        return _avalanche(acc & M64)
    for i in range(8):
        acc += _mix16(b, 16 * i, 16 * i)
    acc = _avalanche(acc & M64)
    for i in range(8, n // 16):
        acc += _mix16(b, 16 * i, 16 * (i - 8) + 3)
    acc += _mix16(b, n - 16, 136 - 17)
    return _avalanche(acc & M64)


def _accumulate(acc, b, i, s):
    for k in range(8):
        v = _r64(b, i + 8 * k)
        key = v ^ _r64(SECRET, s + 8 * k)
        acc[k ^ 1] = (acc[k ^ 1] + v) & M64
        acc[k] = (acc[k] + (key & M32) * (key >> 32)) & M64


def _long(b, n):
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    size = len(SECRET)
    stripes = (size - 64) // 8
    block = 64 * stripes
    blocks = (n - 1) // block
    for j in range(blocks):
        for k in range(stripes):
            _accumulate(acc, b, j * block + 64 * k, 8 * k)
        for k in range(8):
            a = acc[k]
            a ^= a >> 47
            a ^= _r64(SECRET, size - 64 + 8 * k)
            acc[k] = a * P32_1 & M64
    for k in range((n - 1 - block * blocks) // 64):
        _accumulate(acc, b, blocks * block + 64 * k, 8 * k)
    _accumulate(acc, b, n - 64, size - 64 - 7)
    h = n * P64_1 & M64
    for k in range(4):
        h += _fold(acc[2 * k] ^ _r64(SECRET, 11 + 16 * k), acc[2 * k + 1] ^ _r64(SECRET, 19 + 16 * k))
    return _avalanche(h & M64)


def xxh3_64(b):
    n = len(b)
    if n <= 16:
        return _small(b, n)
    if n <= 240:
        return _middle(b, n)
    return _long(b, n)


@lru_cache(maxsize=1 << 18)
def xxh3_str(s):
    return xxh3_64(s.encode("utf-8"))
