"""A server over TLS that says whom it talks to.

usage: tls_server.py CERT KEY CLIENT_CA

Listens on a free port of 127.0.0.1, prints "port N", and answers every request
with {"client": common name of the client's certificate or null,
"connection": number of the connection}.  It ends when its standard input does.
"""
import json
import os
import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.load_verify_locations(sys.argv[3])
context.verify_mode = ssl.CERT_OPTIONAL


def serve(peer, number):
    try:
        with context.wrap_socket(peer, server_side=True) as tls:
            subject = (tls.getpeercert() or {}).get('subject', ())
            name = dict(pair for part in subject for pair in part).get('commonName')
            body = json.dumps({'client': name, 'connection': number}).encode()
            while True:
                request = b''
                while not request.endswith(b'\r\n\r\n{}'):
                    piece = tls.recv(4096)
                    if not piece:
                        return
                    request += piece
                tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
                            b'Content-Length: %d\r\n\r\n' % len(body) + body)
    except OSError:
        pass


def accept(listener):
    number = 0
    while True:
        number += 1
        threading.Thread(target=serve, args=(listener.accept()[0], number), daemon=True).start()


listener = socket.create_server(('127.0.0.1', 0))
print('port %d' % listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
sys.stdin.read()
os._exit(0)
