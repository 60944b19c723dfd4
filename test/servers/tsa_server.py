#!/usr/bin/env python3
"""A time-stamp authority (RFC 3161 over HTTP) that openssl does the work of.

usage: tsa_server.py FOLDER

Makes a throw-away CA and keys in FOLDER (ca.pem; other/ca.pem of another one),
prints "port N", and ends when its standard input does.

FOLDER/fault, if it is there, says what goes wrong:
  garbage       200 and no response
  huge          200 and a body of a megabyte
  replay        the answer to the request before
  imprint       a time stamp of something else
  reject        a response that refuses the request
  untrusted     signed under the other CA
  hang          reads the request and never answers
  status N      status N
"""
import http.server
import os
import subprocess
import sys
import threading
import time

folder = os.path.abspath(sys.argv[1])
CONFIG = '''
[req]
distinguished_name = dn
prompt = no
[dn]
CN = Test
[ca]
basicConstraints = critical, CA:true
[stamping]
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = server
[server]
serial = {0}/serial
signer_cert = {0}/tsa.pem
certs = {0}/ca.pem
signer_key = {0}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = {1}
ess_cert_id_alg = sha256
'''


def openssl(*args, stdin=b''):
    return subprocess.run(('openssl',) + args, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout


def make(at):
    os.makedirs(at, exist_ok=True)
    for digest in ('sha256', 'sha512'):
        with open(f'{at}/{digest}.conf', 'w') as conf:
            conf.write(CONFIG.format(at, digest))
    with open(f'{at}/serial', 'w') as serial:
        serial.write('01\n')
    conf = ('-config', f'{at}/sha256.conf')
    new_key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
    openssl('req', '-x509', *conf, *new_key, '-extensions', 'ca', '-subj', '/CN=Root ' + os.path.basename(at),
            '-days', '10', '-keyout', f'{at}/ca.key', '-out', f'{at}/ca.pem')
    openssl('req', *conf, *new_key, '-subj', '/CN=Authority', '-keyout', f'{at}/tsa.key',
            '-out', f'{at}/tsa.csr')
    openssl('x509', '-req', '-in', f'{at}/tsa.csr', '-CA', f'{at}/ca.pem', '-CAkey', f'{at}/ca.key',
            '-CAcreateserial', '-days', '10', '-extfile', f'{at}/sha256.conf', '-extensions', 'stamping',
            '-out', f'{at}/tsa.pem')


def reply(query, at, digest='sha256'):
    with open(f'{at}/query', 'wb') as file:
        file.write(query)
    return openssl('ts', '-reply', '-config', f'{at}/{digest}.conf', '-queryfile', f'{at}/query')


def answer(query, fault, before):
    if fault == 'garbage':
        return b'0\x03 no time stamp'
    if fault == 'huge':
        return b'x' * 1000000
    if fault == 'replay':
        return before
    if fault == 'imprint':
        return reply(openssl('ts', '-query', '-sha256', '-data', '/dev/null', '-cert'), folder)
    if fault == 'reject':
        return reply(query, folder, 'sha512')
    if fault == 'untrusted':
        return reply(query, folder + '/other')
    return reply(query, folder)


class Handler(http.server.BaseHTTPRequestHandler):
    before = b''

    def do_POST(self):
        query = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        fault = ''
        if os.path.exists(folder + '/fault'):
            with open(folder + '/fault') as file:
                fault = file.read().strip()
        if fault == 'hang':
            time.sleep(600)
        status, data = 200, b''
        if self.headers.get('Content-Type') != 'application/timestamp-query':
            status = 415
        elif fault.startswith('status '):
            status = int(fault[7:])
        else:
            data = answer(query, fault, Handler.before)
            Handler.before = data
        self.send_response(status)
        self.send_header('Content-Type', 'application/timestamp-reply')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


make(folder)
make(folder + '/other')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f'port {server.server_port}', flush=True)
sys.stdin.read()
