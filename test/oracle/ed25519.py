"""Ed25519 of RFC 8032 in plain Python: slow, small, and written from the RFC.

    public_key(seed)                       32 bytes of 32 bytes
    sign(seed, message)                    64 bytes
    verify(public, message, signature)     True or False

It checks what OpenSSL makes for us, so it must not use it.  Run as a program
it verifies signed notes (c2sp.org/signed-note):

    ed25519.py VKEY... < NOTE

says which of the keys have signed, one a line, and fails when a signature by
one of them is bad or none of them has signed.
"""
import base64
import hashlib
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)          # a square root of -1


def add(a, b):                          # extended coordinates, section 5.1.4
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    sum_ = (0, 1, 1, 0)
    while n:
        if n & 1:
            sum_ = add(sum_, point)
        point, n = add(point, point), n >> 1
    return sum_


def recover_x(y, sign):                 # None when there is no such point
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def pack(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, 'little')


def unpack(data):
    y = int.from_bytes(data, 'little')
    sign, y = y >> 255, y & (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def digest(*parts):
    return int.from_bytes(hashlib.sha512(b''.join(parts)).digest(), 'little')


def expand(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], 'little') & (1 << 254) - 8 | 1 << 254, h[32:]


def public_key(seed):
    return pack(times(expand(seed)[0], BASE))


def sign(seed, message):
    secret, prefix = expand(seed)
    public = pack(times(secret, BASE))
    r = digest(prefix, message) % L
    start = pack(times(r, BASE))
    return start + ((r + digest(start, public, message) * secret) % L).to_bytes(32, 'little')


def verify(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = unpack(public), unpack(signature[:32])
    s = int.from_bytes(signature[32:], 'little')
    if a is None or r is None or s >= L:
        return False
    k = digest(signature[:32], public, message) % L
    return pack(times(s, BASE)) == pack(add(r, times(k, a)))


def signed_by(note, vkeys):
    """The names of the keys that signed a note; ValueError for a bad one."""
    text, _, lines = note.rpartition('\n\n')
    text, names = text + '\n', []
    for line in lines.splitlines():
        _, name, data = line.split(' ')
        data = base64.b64decode(data, validate=True)
        for vkey in vkeys:
            its_name, its_id, key = vkey.split('+', 2)
            key = base64.b64decode(key, validate=True)
            if its_name != name or bytes.fromhex(its_id) != data[:4]:
                continue
            assert hashlib.sha256(name.encode() + b'\n' + key).digest()[:4] == data[:4]
            message, signature = text, data[4:]
            if key[0] == 4:
                time = int.from_bytes(data[4:12], 'big')
                message, signature = f'cosignature/v1\ntime {time}\n' + text, data[12:]
            if not verify(key[1:], message.encode(), signature):
                raise ValueError(f'bad signature by {name}')
            names.append(name)
    return names


if __name__ == '__main__':
    found = signed_by(sys.stdin.buffer.read().decode(), sys.argv[1:])
    print('\n'.join(found))
    sys.exit(0 if found else 1)
