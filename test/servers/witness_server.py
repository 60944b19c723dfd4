#!/usr/bin/env python3
"""A strict witness (c2sp.org/tlog-witness), which can be told to misbehave.

usage: witness_server.py FOLDER NAME [PORT]

Keeps its key and the last checkpoint that it has cosigned in FOLDER, prints
"vkey KEY" and "port N", and ends when its standard input does.  FOLDER/log_key
holds the public key of the log that it knows.  A line is added to
FOLDER/requests for each request: old size, size, status.  Written from the
specifications; it checks all that they say a witness must.

FOLDER/fault, if it is there, says what goes wrong:
  hang          reads the request and never answers
  close         closes the connection without an answer
  garbage       200 and no signature lines
  forged        200 and its own name and key id over another key's signature
  stranger      200 and a cosignature by a key that nobody knows
  replay        200 and the cosignature of the checkpoint before
  huge          200 and a body of a megabyte
  status N      status N
  size N        409 with this size
  die           cosigns, and dies before it answers
  slow          answers when FOLDER/go is there
"""
import base64
import hashlib
import http.server
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'oracle'))
import ed25519

folder, name = sys.argv[1:3]
port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
lock = threading.Lock()


def path(file):
    return os.path.join(folder, file)


def read(file):
    try:
        with open(path(file)) as handle:
            return handle.read()
    except FileNotFoundError:
        return ''


def write(file, text):
    with open(path(file) + '.new', 'w') as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    os.rename(path(file) + '.new', path(file))


def key_id(kind, public, of=name):
    return hashlib.sha256(of.encode() + b'\n' + bytes([kind]) + public).digest()[:4]


def node(left, right):
    return hashlib.sha256(b'\x01' + left + right).digest()


def consistent(old, new, old_root, new_root, proof):
    """RFC 9162, 2.1.4.2."""
    if old == new:
        return old_root == new_root and not proof
    if old == 0:
        return not proof
    if not proof:
        return False
    proof = list(proof)
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == new_root and sn == 0


def cosignature(seed, text, of=name, as_key=None):
    public = as_key or ed25519.public_key(seed)
    now = int(time.time())
    signature = ed25519.sign(seed, f'cosignature/v1\ntime {now}\n{text}'.encode())
    blob = key_id(4, public, of) + now.to_bytes(8, 'big') + signature
    return f'— {of} {base64.b64encode(blob).decode()}\n'


def decimal(text):
    if not text.isascii() or not text.isdigit() or str(int(text)) != text:
        raise ValueError(text)
    return int(text)


def add_checkpoint(body):
    """Status and answer; what it cosigns is kept before it answers."""
    head, _, note = body.partition('\n\n')
    lines = head.split('\n')
    text, _, signatures = note.rpartition('\n\n')
    text += '\n'
    try:
        if not lines[0].startswith('old ') or len(lines) > 64:
            return 400, 'no old size', 0, 0
        old = decimal(lines[0][4:])
        proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
        origin, size, root = text.split('\n')[:3]
        size, root = decimal(size), base64.b64decode(root, validate=True)
        if len(root) != 32 or any(len(each) != 32 for each in proof) or not body.endswith('\n'):
            return 400, 'malformed', old, size
    except ValueError as error:
        return 400, f'malformed: {error}', 0, 0
    log_name, log_id, log_key = read('log_key').strip().split('+', 2)
    if origin != log_name:
        return 404, 'unknown log', old, size
    public = base64.b64decode(log_key)[1:]
    ours = [base64.b64decode(line.split(' ')[2]) for line in signatures.splitlines()
            if line.startswith(f'— {log_name} ')]
    ours = [each[4:] for each in ours if each[:4] == bytes.fromhex(log_id)]
    if not any(ed25519.verify(public, text.encode(), each) for each in ours):
        return 403, 'no signature by a key of the log', old, size
    if old > size:
        return 400, 'the old size is beyond the checkpoint', old, size
    seen = read('seen').split()
    seen_size, seen_root = (int(seen[0]), bytes.fromhex(seen[1])) if seen else (0, b'')
    if old != seen_size:
        return 409, f'{seen_size}\n', old, size
    if size == seen_size and size > 0 and root != seen_root:
        return 409, f'{seen_size}\n', old, size
    if not consistent(old, size, seen_root, root, proof):
        return 422, 'the consistency proof does not verify', old, size
    write('seen', f'{size} {root.hex()}')
    write('text', text)
    return 200, cosignature(seed, text), old, size


def misbehave(fault, status, answer):
    kind, _, number = fault.partition(' ')
    if status == 200:
        before = read('last')
        if kind != 'replay':
            write('last', answer)
        if kind == 'forged':
            answer = cosignature(bytes(32), read('text'), as_key=ed25519.public_key(seed))
        elif kind == 'stranger':
            answer = cosignature(bytes(32), read('text'), of='stranger.example')
        elif kind == 'replay':
            answer = before
        elif kind == 'die':
            os._exit(1)
    if kind == 'garbage':
        return 200, '\x00<html>\xff no note</html>\n'
    if kind == 'huge':
        return 200, 'x' * 1000000
    if kind == 'status':
        return int(number), 'as you like it'
    if kind == 'size':
        return 409, f'{number}\n'
    while kind == 'slow' and not os.path.exists(path('go')):
        time.sleep(0.01)
    return status, answer


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()
        fault = read('fault').strip()
        if fault == 'hang':
            time.sleep(600)
        with lock:
            if not self.path.endswith('/add-checkpoint'):
                status, answer, old, size = 404, 'no such call', 0, 0
            elif fault.partition(' ')[0] in ('close', 'status', 'size', 'garbage', 'huge'):
                status, answer, old, size = 0, '', 0, 0
            else:
                status, answer, old, size = add_checkpoint(body)
            status, answer = misbehave(fault, status, answer)
            with open(path('requests'), 'a') as log:
                log.write(f'{old} {size} {status}\n')
        if fault == 'close':
            self.close_connection = True
            return
        data = answer.encode()
        self.send_response(status)
        self.send_header('Content-Type', 'text/x.tlog.size' if status == 409 else 'text/plain')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


os.makedirs(folder, exist_ok=True)
seed = hashlib.sha256(name.encode()).digest()
server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
own_key = ed25519.public_key(seed)
print(f'vkey {name}+{key_id(4, own_key).hex()}+{base64.b64encode(bytes([4]) + own_key).decode()}')
print(f'port {server.server_port}', flush=True)
sys.stdin.read()
