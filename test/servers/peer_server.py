#!/usr/bin/env python3
"""Strict stand-ins for the systems that connectors talk to.

usage: peer_server.py FOLDER [PORT]

Listens on 127.0.0.1, prints "port N", and ends when its standard input does.
Written from the descriptions of the protocols; it refuses what they say must
be refused.  FOLDER/requests gets a line of JSON for each request: service,
method, path, headers, body, status.

  POST /                 queues of SQS, named by QueueUrl; signatures verified
  /sb/NAME/...           queues of Service Bus; tokens, locks and expiry
  /sap/...               an OData service: token, all cookies, ETags
  /fusion/...            resources of Oracle: media types, ETags, bearer tokens
  POST /oauth/token      client credentials, in the header or the body
  /hook/...              webhooks: basic, bearer and header authentication
  /claude/v1/messages    a model that says what the last message tells it to
  /gpt/chat/completions  the same, as chat completions
  /chain/invoke, batch   a chain that answers with its input
  /pay, /pay/by/NAME     payments, once for each key; FOLDER/pay-drop: the
                         answer to the next one is lost

What is wrong is chosen by a part of the path, or of the queue's name, that
begins with "~": see FAULTS.  "~name.N" is wrong for the first N requests.

FOLDER/life holds how many seconds tokens live (3600), FOLDER/lock how many a
message of Service Bus is locked (30).  While FOLDER/keep is there, messages
cannot be taken away from queues.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
import uuid
import zlib

folder = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
lock = threading.RLock()
counts = {}
tokens = {}
sessions = {}
queues = {}
entities = {}

ACCESS_KEY, SECRET_KEY = 'AKIDEXAMPLE', 'canary-sqs-secret/+='
SAS_KEY = 'Y2FuYXJ5LXNiLXNlY3JldA=='
CLIENT = ('uaef client', 'canary:client&secret')
PASSWORD, TOKEN, VALUE = 'canary-password', 'canary-token', 'canary-value'


def now():
    return time.time()


def setting(name, default):
    try:
        with open(os.path.join(folder, name)) as handle:
            return handle.read().strip()
    except FileNotFoundError:
        return default


class Answer(Exception):
    """What ends the handling of a request."""

    def __init__(self, status, body=b'', headers=(), kind='application/json'):
        super().__init__(status)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.status, self.kind = status, kind
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = list(headers)


# Statuses and bodies that need no request; what closes the connection is in
# Handler.fault().
FAULTS = {
    'redirect': (302, '', [('Location', 'http://127.0.0.1:1/')], 'text/plain'),
    'later': (429, '', [('Retry-After', '1')], 'text/plain'),
    'html': (200, '<html>Please sign in</html>', [], 'text/html'),
    'utf8': (200, b'{"a":"\xff\xfe"}', [], 'application/json'),
    'nul': (200, b'{"a":"\\u0000"}\0', [], 'application/json'),
    'cut-json': (200, '{"MessageId":', [], 'application/json'),
    'empty': (200, '', [], 'application/json'),
    'scalar': (200, '7', [], 'application/json'),
    'bomb': (200, zlib.compress(b'\0' * 20_000_000), [('Content-Encoding', 'deflate')],
             'application/json'),
    'big': (200, b'x' * 3_000_000, [], 'text/plain'),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def do_any(self):
        size = int(self.headers.get('Content-Length') or 0)
        self.body = self.rfile.read(size)
        self.target = urllib.parse.urlsplit(self.path)
        self.service = None
        try:
            self.fault()
            self.route()
            answer = Answer(404, 'nothing here', kind='text/plain')
        except Answer as raised:
            answer = raised
        except OSError:
            self.note(0)
            self.close_connection = True
            return
        self.note(answer.status)
        try:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header('Content-Type', answer.kind)
                self.send_header('Content-Length', str(len(answer.body)))
            self.end_headers()
            if self.command != 'HEAD' and answer.status != 204:
                self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def note(self, status):
        line = json.dumps({
            'method': self.command, 'path': self.path, 'status': status,
            'headers': {k.lower(): v for k, v in self.headers.items()},
            'body': self.body.decode('utf-8', 'replace')})
        with lock, open(os.path.join(folder, 'requests'), 'a') as handle:
            handle.write(line + '\n')

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack('ii', 1, 0))
        self.connection.close()
        raise OSError('reset')

    def raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def fault(self):
        place = self.path
        if self.path == '/':
            place = json.loads(self.body or b'{}').get('QueueUrl', '')
        found = re.search(r'~([a-z0-9-]+)(?:\.(\d+))?', place)
        fetches = self.path.startswith('/oauth') or self.headers.get('x-csrf-token') == 'Fetch'
        if not found:
            return
        name, limit = found.group(1), found.group(2)
        if name.startswith('s-') != bool(fetches):
            return
        name = name[2:] if fetches else name
        with lock:
            counts[place] = counts.get(place, 0) + 1
            if limit and counts[place] > int(limit):
                return
        if name.isdigit():
            raise Answer(int(name), 'status ' + name, kind='text/plain')
        if name in FAULTS:
            raise Answer(*FAULTS[name])
        if name == 'hang':
            time.sleep(30)
            self.reset()
        if name == 'close':
            self.connection.close()
            raise OSError('closed')
        if name == 'reset':
            self.reset()
        if name == 'reset-head':
            self.raw(b'HTTP/1.1 200 OK\r\nContent-Le')
            time.sleep(0.1)
            self.reset()
        if name == 'reset-body':
            self.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf')
            time.sleep(0.1)
            self.reset()
        if name == 'garbage':
            self.raw(b'\x16\x03\x01 this is not HTTP\r\n\r\n')
            self.reset()
        if name == 'heads':
            self.raw(b'HTTP/1.1 200 OK\r\n' + b''.join(
                b'X-%d: %s\r\n' % (i, b'y' * 1000) for i in range(90)) + b'\r\n')
            self.reset()
        if name == 'drip':
            self.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')
            for _ in range(300):
                self.raw(b'.')
                time.sleep(0.1)
            self.reset()
        if name == 'twice':
            self.raw(b'HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno'
                     b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
            raise OSError('twice')
        if name == 'expired':
            if self.path.startswith('/sap'):
                raise Answer(403, 'CSRF token validation failed',
                             [('x-csrf-token', 'Required')], 'text/plain')
            raise Answer(401, {'title': 'Unauthorized'})
        raise Answer(418, 'no fault ' + name)

    def route(self):
        parts = [urllib.parse.unquote(p) for p in self.target.path.split('/')[1:]]
        parts = [p for p in parts if not p.startswith('~')]
        if self.path == '/' and self.command == 'POST':
            return self.sqs()
        if parts[0] == 'oauth':
            return self.oauth()
        if parts[0] == 'sb':
            return self.servicebus(parts[1:])
        if parts[0] == 'sap':
            return self.sap(parts[1:])
        if parts[0] == 'fusion':
            return self.fusion(parts[1:])
        if parts[0] == 'hook':
            return self.hook(parts[1:])
        if parts[0] == 'claude':
            return self.claude(parts[1:])
        if parts[0] == 'gpt':
            return self.gpt(parts[1:])
        if parts[0] == 'chain':
            return self.chain(parts[1:])
        if parts[0] == 'pay':
            return self.pay(parts[1:])
        return None

    # Webhooks

    def hook(self, parts):
        wanted = {
            'basic': ('authorization', 'Basic ' + base64.b64encode(
                ('us\u00e9r:' + PASSWORD).encode()).decode()),
            'bearer': ('authorization', 'Bearer ' + TOKEN),
            'header': ('x-api-key', VALUE)}.get(parts[0])
        if wanted and self.headers.get(wanted[0]) != wanted[1]:
            raise Answer(401, 'who are you?', kind='text/plain')
        if parts[0] == 'oauth':
            self.bearer()
        raise Answer(200, {'ok': True})

    # OAuth 2.0

    def oauth(self):
        form = dict(urllib.parse.parse_qsl(self.body.decode(), strict_parsing=True))
        given = (form.get('client_id'), form.get('client_secret'))
        header = self.headers.get('Authorization', '')
        if header.startswith('Basic '):
            if given != (None, None):
                raise Answer(400, {'error': 'invalid_request'})
            given = tuple(map(urllib.parse.unquote_plus, base64.b64decode(
                header[6:], validate=True).decode().split(':')))
        if given != CLIENT:
            raise Answer(401, {'error': 'invalid_client',
                               'error_description': 'bad secret ' + str(given[1])})
        if self.headers.get('Content-Type') != 'application/x-www-form-urlencoded' or \
                form.get('grant_type') != 'client_credentials':
            raise Answer(400, {'error': 'invalid_request'})
        token = 'canary-access.' + uuid.uuid4().hex
        life = float(setting('life', '3600'))
        with lock:
            tokens[token] = now() + life
        raise Answer(200, {'access_token': token, 'token_type': 'Bearer',
                           'expires_in': life, 'scope': form.get('scope')})

    def bearer(self):
        header = self.headers.get('Authorization', '')
        if tokens.get(header[7:], 0) < now() or not header.startswith('Bearer '):
            raise Answer(401, {'title': 'Unauthorized', 'detail': 'token'})

    # SQS

    def check_sigv4(self):
        """AWS Signature Version 4 as its description has it."""
        found = re.fullmatch(
            r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/sqs/aws4_request, '
            r'SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})',
            self.headers.get('Authorization', ''))
        if not found:
            raise Answer(403, {'__type': 'com.amazonaws.sqs#IncompleteSignature'})
        key, date, region, names, signature = found.groups()
        stamp = self.headers.get('X-Amz-Date', '')
        names = names.split(';')
        if key != ACCESS_KEY:
            raise Answer(403, {'__type': 'com.amazonaws.sqs#InvalidClientTokenId',
                               'message': 'The security token included in the request is invalid.'})
        sent = time.strptime(stamp, '%Y%m%dT%H%M%SZ')
        if stamp[:8] != date or abs(time.mktime(sent) - time.timezone - now()) > 900:
            raise Answer(403, {'__type': 'com.amazonaws.sqs#RequestExpired'})
        if any(name not in self.headers for name in names):
            raise Answer(403, {'__type': 'com.amazonaws.sqs#SignatureDoesNotMatch'})
        for must in ('host', 'x-amz-date', 'x-amz-target', 'content-type'):
            if must not in names:
                raise Answer(403, {'__type': 'com.amazonaws.sqs#IncompleteSignature'})
        canonical = '\n'.join([
            'POST', '/', '',
            ''.join(n + ':' + ' '.join(self.headers[n].split()) + '\n' for n in sorted(names)),
            ';'.join(sorted(names)), hashlib.sha256(self.body).hexdigest()])
        scope = f'{date}/{region}/sqs/aws4_request'
        text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        secret = ('AWS4' + SECRET_KEY).encode()
        for part in (date, region, 'sqs', 'aws4_request'):
            secret = hmac.new(secret, part.encode(), 'sha256').digest()
        if hmac.new(secret, text.encode(), 'sha256').hexdigest() != signature:
            raise Answer(403, {'__type': 'com.amazonaws.sqs#SignatureDoesNotMatch',
                               'message': 'The request signature we calculated does not match.'})

    def sqs(self):
        self.check_sigv4()
        if self.headers['Content-Type'] != 'application/x-amz-json-1.0':
            raise Answer(400, {'__type': 'com.amazon.coral.service#UnknownOperationException'})
        request = json.loads(self.body)
        name = request['QueueUrl'].rsplit('/', 1)[1]
        if name.startswith('missing'):
            raise Answer(400, {'__type': 'com.amazonaws.sqs#QueueDoesNotExist',
                               'message': 'The specified queue does not exist.'})
        action = self.headers['X-Amz-Target'].removeprefix('AmazonSQS.')
        answer = getattr(self, 'sqs_' + action)(name, request)
        raise Answer(200, answer, kind='application/x-amz-json-1.0')

    def sqs_put(self, name, entry):
        fifo = name.endswith('.fifo')
        if fifo != ('MessageGroupId' in entry) or fifo != ('MessageDeduplicationId' in entry):
            raise Answer(400, {'__type': 'com.amazonaws.sqs#MissingParameter'})
        if len(entry.get('MessageAttributes', {})) > 10:
            raise Answer(400, {'__type': 'com.amazonaws.sqs#InvalidParameterValue'})
        body = entry['MessageBody']
        with lock:
            queue = queues.setdefault(name, [])
            for message in queue:
                if fifo and message['dedup'] == entry['MessageDeduplicationId']:
                    break
            else:
                message = {'id': str(uuid.uuid4()), 'body': body, 'receives': 0,
                           'visible': 0, 'gone': False, 'handle': None,
                           'dedup': entry.get('MessageDeduplicationId'),
                           'group': entry.get('MessageGroupId'),
                           'attributes': entry.get('MessageAttributes', {}),
                           'number': len(queue)}
                queue.append(message)
        md5 = hashlib.md5(body.encode()).hexdigest()
        if name.startswith('garble'):
            md5 = '0' * 32
        answer = {'MessageId': message['id'], 'MD5OfMessageBody': md5}
        if fifo:
            answer['SequenceNumber'] = str(message['number'])
        return answer

    sqs_SendMessage = sqs_put

    def sqs_SendMessageBatch(self, name, request):
        if not 1 <= len(request['Entries']) <= 10:
            raise Answer(400, {'__type': 'com.amazonaws.sqs#TooManyEntriesInBatchRequest'})
        answer = {'Successful': [], 'Failed': []}
        for entry in request['Entries']:
            if entry['MessageBody'] == '"refuse"' or entry['MessageBody'] == 'refuse':
                answer['Failed'].append({'Id': entry['Id'], 'Code': 'InvalidMessageContents',
                                         'SenderFault': True, 'Message': 'bad'})
            else:
                answer['Successful'].append(dict(self.sqs_put(name, entry), Id=entry['Id']))
        return answer

    def sqs_ReceiveMessage(self, name, request):
        until = now() + request.get('WaitTimeSeconds', 0)
        while True:
            with lock:
                taken = []
                for message in queues.get(name, []):
                    if message['gone'] or message['visible'] > now() or \
                            len(taken) == request.get('MaxNumberOfMessages', 1):
                        continue
                    message['visible'] = now() + request.get('VisibilityTimeout', 30)
                    message['receives'] += 1
                    message['handle'] = uuid.uuid4().hex
                    taken.append({
                        'MessageId': message['id'], 'ReceiptHandle': message['handle'],
                        'Body': message['body'],
                        'MD5OfBody': hashlib.md5(message['body'].encode()).hexdigest(),
                        'MessageAttributes': message['attributes'],
                        'Attributes': {'ApproximateReceiveCount': str(message['receives'])}})
            if taken or now() >= until:
                return {'Messages': taken} if taken else {}
            time.sleep(0.02)

    def sqs_DeleteMessage(self, name, request):
        if setting('keep', ''):
            raise Answer(500, {'__type': 'com.amazonaws.sqs#InternalFailure'})
        with lock:
            for message in queues.get(name, []):
                if message['handle'] == request['ReceiptHandle']:
                    message['gone'] = True
                    return {}
        raise Answer(400, {'__type': 'com.amazonaws.sqs#ReceiptHandleIsInvalid'})

    def sqs_DeleteMessageBatch(self, name, request):
        answer = {'Successful': [], 'Failed': []}
        for entry in request['Entries']:
            try:
                self.sqs_DeleteMessage(name, entry)
                answer['Successful'].append({'Id': entry['Id']})
            except Answer:
                answer['Failed'].append({'Id': entry['Id'], 'Code': 'ReceiptHandleIsInvalid',
                                         'SenderFault': True})
        return answer

    # Service Bus

    def check_sas(self, entity):
        header = self.headers.get('Authorization', '')
        fields = dict(f.split('=', 1) for f in header.removeprefix('SharedAccessSignature ').split('&')
                      if '=' in f)
        if not header.startswith('SharedAccessSignature ') or set(fields) != {'sr', 'sig', 'se', 'skn'}:
            raise Answer(401, '<Error><Code>401</Code></Error>', kind='application/xml')
        expected = base64.b64encode(hmac.new(
            SAS_KEY.encode(), (fields['sr'] + '\n' + fields['se']).encode(), 'sha256').digest())
        resource = urllib.parse.unquote(fields['sr'])
        here = f'http://127.0.0.1:{port}/sb/{entity}'
        if urllib.parse.unquote(fields['sig']).encode() != expected or fields['skn'] != 'sender' or \
                not here.startswith(re.sub(r'/~[^/]*', '', resource)) or \
                not now() < int(fields['se']) < now() + 3600:
            raise Answer(401, '<Error><Code>401</Code></Error>', kind='application/xml')

    def servicebus(self, parts):
        entity, rest = parts[0], parts[1:]
        self.check_sas(entity)
        if entity.startswith('missing'):
            raise Answer(410, '<Error><Code>410</Code></Error>', kind='application/xml')
        if entity.startswith('full'):
            raise Answer(403, '<Error><Detail>QuotaExceeded</Detail></Error>', kind='application/xml')
        with lock:
            queue = queues.setdefault('sb/' + entity, [])
        if rest == ['messages'] and self.command == 'POST':
            properties = json.loads(self.headers['BrokerProperties'])
            if len(properties['MessageId']) > 128:
                raise Answer(400)
            with lock:
                if not any(m['id'] == properties['MessageId'] for m in queue):
                    queue.append({'id': properties['MessageId'], 'body': self.body, 'gone': False,
                                  'properties': properties, 'until': 0, 'token': None, 'receives': 0,
                                  'type': self.headers.get('Content-Type'), 'number': len(queue) + 1})
            raise Answer(201)
        if rest == ['messages', 'head'] and self.command == 'POST':
            query = dict(urllib.parse.parse_qsl(self.target.query))
            self.servicebus_lock(entity, queue, now() + float(query.get('timeout', '60')))
        if len(rest) == 3 and rest[0] == 'messages':
            self.servicebus_settle(queue, rest[1], rest[2])

    def servicebus_lock(self, entity, queue, until):
        while True:
            with lock:
                for message in queue:
                    if message['gone'] or message['until'] > now():
                        continue
                    message['until'] = now() + float(setting('lock', '30'))
                    message['token'] = str(uuid.uuid4())
                    message['receives'] += 1
                    broker = dict(message['properties'], LockToken=message['token'],
                                  DeliveryCount=message['receives'],
                                  SequenceNumber=message['number'])
                    where = f'http://127.0.0.1:{port}/sb/{entity}/messages/' \
                            f'{message["number"]}/{message["token"]}'
                    raise Answer(201, message['body'], [
                        ('BrokerProperties', json.dumps(broker)), ('Location', where)],
                        message['type'] or 'text/plain')
            if now() >= until:
                raise Answer(204)
            time.sleep(0.02)

    def servicebus_settle(self, queue, number, token):
        with lock:
            for message in queue:
                if str(message['number']) != number or message['token'] != token or \
                        message['gone'] or message['until'] < now():
                    continue
                if self.command == 'DELETE' and setting('keep', ''):
                    raise Answer(500)
                if self.command == 'DELETE':
                    message['gone'] = True
                elif self.command == 'PUT':
                    message['until'] = 0
                else:
                    message['until'] = now() + 30
                raise Answer(200)
        raise Answer(404, '<Error><Code>404</Code></Error>', kind='application/xml')

    # Models.  The text of the last message is what to do: "say X", "tool X",
    # "json X", "fail STATUS"; anything else is said back in upper case.

    def told(self, messages):
        if not isinstance(messages, list) or not messages:
            raise Answer(400, self.claude_error('invalid_request_error', 'messages'))
        for number, message in enumerate(messages):
            if message['role'] != ('user', 'assistant')[number % 2]:
                raise Answer(400, self.claude_error('invalid_request_error', 'roles must alternate'))
        content = messages[-1]['content']
        if isinstance(content, list):
            content = ''.join(part.get('text', '') for part in content)
        verb, _, rest = content.partition(' ')
        said = rest.partition('\n')[0] if verb in ('say', 'json') else content.upper()
        if 'is not what was asked for' in content:
            said = '{"summary": "repaired"}' if 'mend' in content + json.dumps(messages) else 'still no JSON'
        return verb, rest, said

    @staticmethod
    def claude_error(kind, message, details=None):
        error = {'type': kind, 'message': message}
        if details:
            error['details'] = details
        return {'type': 'error', 'error': error, 'request_id': 'req_stub'}

    def claude(self, parts):
        head = [('request-id', 'req_stub')]
        if self.headers.get('x-api-key') != VALUE:
            raise Answer(401, self.claude_error('authentication_error', 'invalid x-api-key'), head)
        if parts != ['v1', 'messages'] or self.command != 'POST':
            raise Answer(404, self.claude_error('not_found_error', 'no such path'), head)
        if self.headers.get('anthropic-version') != '2023-06-01' or \
                self.headers.get('Content-Type') != 'application/json':
            raise Answer(400, self.claude_error('invalid_request_error', 'headers'), head)
        body = json.loads(self.body)
        if not isinstance(body.get('max_tokens'), int) or not isinstance(body.get('model'), str) or \
                set(body) - {'model', 'max_tokens', 'messages', 'system', 'tools', 'tool_choice',
                             'temperature', 'stop_sequences', 'metadata'}:
            raise Answer(400, self.claude_error('invalid_request_error', 'unknown or missing field'), head)
        verb, rest, said = self.told(body.get('messages'))
        errors = {
            '429': (429, 'rate_limit_error', None, [('retry-after', '1')]),
            'spend': (429, 'rate_limit_error', {'error_code': 'enforced_spend_limit_reached'}, []),
            '529': (529, 'overloaded_error', None, []),
            '500': (500, 'api_error', None, [])}
        if verb == 'fail':
            name, _, times = rest.partition('\n')[0].partition(' ')
            with lock:
                counts[rest] = counts.get(rest, 0) + 1
                if not times or counts[rest] <= int(times):
                    status, kind, details, more = errors[name]
                    raise Answer(status, self.claude_error(kind, 'told to', details), head + more)
            said = 'after all'
        content = [{'type': 'text', 'text': said}]
        if verb == 'tool' and body.get('tools') and 'tool_result' not in json.dumps(body['messages']):
            content.append({'type': 'tool_use', 'id': 'toolu_1', 'name': rest, 'input': {'n': 1}})
        raise Answer(200, {
            'id': 'msg_1', 'type': 'message', 'role': 'assistant', 'model': body['model'],
            'content': content, 'stop_reason': 'tool_use' if len(content) > 1 else 'end_turn',
            'stop_sequence': None,
            'usage': {'input_tokens': 10, 'output_tokens': 5, 'cache_read_input_tokens': 2}}, head)

    def gpt(self, parts):
        head = [('x-request-id', 'req_gpt')]
        if self.headers.get('Authorization') != 'Bearer ' + TOKEN:
            raise Answer(401, {'error': {'message': 'Incorrect API key', 'type': 'invalid_request_error',
                                         'param': None, 'code': 'invalid_api_key'}}, head)
        body = json.loads(self.body)
        if parts != ['chat', 'completions'] or not isinstance(body.get('model'), str):
            raise Answer(404, {'error': {'message': 'no such path or model', 'type': 'invalid_request_error',
                                         'param': None, 'code': None}}, head)
        verb, rest, said = self.told(body.get('messages'))
        if rest.startswith('quota'):
            raise Answer(429, {'error': {'message': 'You exceeded your current quota',
                                         'type': 'insufficient_quota', 'param': None,
                                         'code': 'insufficient_quota'}}, head)
        message, reason = {'role': 'assistant', 'content': said}, 'stop'
        if verb == 'tool':
            message = {'role': 'assistant', 'content': None, 'tool_calls': [
                {'id': 'call_1', 'type': 'function',
                 'function': {'name': rest, 'arguments': '{"n": 1}'}},
                {'id': 'call_2', 'type': 'function', 'function': {'name': rest, 'arguments': '{n'}}]}
            reason = 'tool_calls'
        raise Answer(200, {
            'id': 'chatcmpl-1', 'object': 'chat.completion', 'model': body['model'],
            'choices': [{'index': 0, 'message': message, 'finish_reason': reason}],
            'usage': {'prompt_tokens': 7, 'completion_tokens': 3, 'total_tokens': 10}}, head)

    def chain(self, parts):
        body = json.loads(self.body)
        if parts == ['ask']:
            raise Answer(200, {'reply': {'text': body.get('question', '').upper(), 'used': [4, 2]}})
        key = {'invoke': 'input', 'batch': 'inputs'}.get(parts[-1])
        if set(body) != {key, 'config', 'kwargs'}:
            raise Answer(422, {'detail': [{'loc': ['body', key], 'msg': 'field required'}]})
        if parts == ['batch']:
            raise Answer(200, {'output': body[key], 'metadata': {'run_ids': ['r1']}})
        raise Answer(200, {'output': {'content': str(body[key]), 'type': 'ai', 'usage_metadata': {
            'input_tokens': 4, 'output_tokens': 2}}, 'metadata': {'run_id': 'r1'}})

    # Payments

    def pay(self, parts):
        key = self.headers.get('X-Pay-Key')
        if parts[:1] == ['by'] and self.command == 'GET':
            found = [p for p in entities.values() if isinstance(p, dict) and
                     p.get('reference') == parts[1]]
            if not found:
                raise Answer(404, {'error': 'not found'})
            raise Answer(200, found[0])
        body = json.loads(self.body)
        if key is None or key != self.headers.get('Idempotency-Key'):
            raise Answer(400, {'error': 'no key'})
        with lock:
            known = entities.get(('pay', key))
            if known and known['sent'] != body:
                raise Answer(409, {'error': 'another body for this key'})
            if body.get('amount') == '0':
                raise Answer(422, {'error': 'amount'})
            if not known:
                known = {'id': 'pay_%d' % len(entities), 'status': 'accepted', 'sent': body,
                         'reference': body['reference'], 'times': 0}
                entities['pay', key] = known
            known['times'] += 1
            if setting('pay-drop', ''):
                os.unlink(os.path.join(folder, 'pay-drop'))
                self.reset()
            if body.get('amount') == '500' and known['times'] == 1:
                raise Answer(500, {'error': 'try again'})
        raise Answer(200, known)

    # SAP

    def sap(self, parts):
        expected = 'Basic ' + base64.b64encode(('us\u00e9r:' + PASSWORD).encode()).decode()
        if self.headers.get('Authorization') != expected:
            raise Answer(401, 'Anmeldung', kind='text/html')
        if self.headers.get('x-csrf-token') == 'Fetch':
            token, cookie = 'canary-csrf-' + uuid.uuid4().hex, uuid.uuid4().hex
            with lock:
                sessions[token] = (cookie, now() + float(setting('life', '3600')))
            raise Answer(200, {'d': {'EntitySets': []}}, [
                ('x-csrf-token', token),
                ('Set-Cookie', f'SAP_SESSIONID_X_100={cookie}; path=/; HttpOnly'),
                ('Set-Cookie', 'sap-usercontext=sap-client=100; path=/')])
        if self.command not in ('GET', 'HEAD'):
            cookie, until = sessions.get(self.headers.get('x-csrf-token'), (None, 0))
            given = self.headers.get('Cookie', '')
            if until < now() or f'SAP_SESSIONID_X_100={cookie}' not in given or \
                    'sap-usercontext=sap-client=100' not in given:
                raise Answer(403, 'CSRF token validation failed',
                             [('x-csrf-token', 'Required')], 'text/plain')
        self.odata('/'.join(parts))

    def odata(self, path):
        name, _, key = path.partition('(')
        key = key.rstrip(')')
        if name == 'Release':
            raise Answer(200, {'d': {'Release': {'query': self.target.query}}})
        if name == 'Broken':
            raise Answer(400, {'error': {'code': 'SY/530', 'message': {
                'lang': 'en', 'value': 'Order is locked by \u00dcser'}, 'innererror': {}}})
        if name == 'Broken4':
            raise Answer(422, {'error': {'code': 'SO/001', 'message': 'No such customer', 'details': []}})
        with lock:
            if self.command == 'POST' and not key:
                data = json.loads(self.body)
                key = "'" + str(data['ID']).replace("'", "''") + "'"
                if (name, key) in entities:
                    raise Answer(400, {'error': {'code': 'EXISTS', 'message': {'value': 'exists'}}})
                entities[name, key] = [1, data]
                raise Answer(201, {'d': data}, [('ETag', 'W/"1"'),
                                                ('Location', f'/sap/{name}({key})')])
            if self.command == 'GET' and not key:
                rows = [v[1] for k, v in entities.items() if k[0] == name]
                raise Answer(200, {'d': {'results': rows}})
            entity = entities.get((name, key))
            if entity is None:
                raise Answer(404, {'error': {'code': '/IWBEP/CM_MGW_RT/020',
                                             'message': {'value': 'Resource not found'}}})
            if self.command == 'GET':
                raise Answer(200, {'d': entity[1]}, [('ETag', f'W/"{entity[0]}"')])
            match = self.headers.get('If-Match')
            if match is None:
                raise Answer(428, {'error': {'code': 'PRECONDITION', 'message': {'value': 'If-Match'}}})
            if match not in ('*', f'W/"{entity[0]}"'):
                raise Answer(412, {'error': {'code': 'STALE', 'message': {'value': 'changed'}}})
            if self.command == 'DELETE':
                del entities[name, key]
            else:
                entity[0] += 1
                entity[1].update(json.loads(self.body))
        raise Answer(204)

    # Oracle

    def fusion(self, parts):
        self.bearer()
        kind = (self.headers.get('Content-Type') or '').split(';')[0]
        resource, key = '/'.join(['fusion', parts[0]]), parts[1] if len(parts) > 1 else None
        if parts[0] == 'plain':
            raise Answer(400, 'ORA-01400: cannot insert NULL', kind='text/plain')
        if parts[0] == 'problem':
            raise Answer(400, {'title': 'Bad Request', 'status': '400',
                               'detail': 'Supplier is inactive', 'o:errorCode': 'POZ-2130405',
                               'o:errorPath': '/'})
        with lock:
            if self.command == 'POST' and kind == 'application/vnd.oracle.adf.action+json':
                body = json.loads(self.body)
                if not isinstance(body['parameters'], list):
                    raise Answer(400, {'title': 'parameters'})
                raise Answer(200, {'result': body['name']})
            if self.command in ('POST', 'PATCH') and \
                    kind != 'application/vnd.oracle.adf.resourceitem+json':
                raise Answer(415, {'title': 'Unsupported Media Type', 'status': '415'})
            if self.command == 'POST':
                data = json.loads(self.body)
                key = str(data['Id'])
                old = entities.get((resource, key))
                if old and self.headers.get('Upsert-Mode') != 'true':
                    raise Answer(400, {'title': 'exists', 'o:errorCode': 'JBO-25013'})
                if old:
                    old[0] += 1
                    old[1].update(data)
                else:
                    entities[resource, key] = [1, data]
                version, data = entities[resource, key]
                raise Answer(200 if old else 201, data, [('ETag', f'"{version}"')],
                             'application/vnd.oracle.adf.resourceitem+json')
            entity = entities.get((resource, key))
            if entity is None:
                raise Answer(404, {'title': 'Not Found', 'status': '404'})
            if self.command == 'GET':
                raise Answer(200, entity[1], [('ETag', f'"{entity[0]}"')])
            if self.headers.get('If-Match') not in (None, f'"{entity[0]}"'):
                raise Answer(412, {'title': 'Precondition Failed', 'status': '412'})
            if self.command == 'DELETE':
                del entities[resource, key]
                raise Answer(204)
            entity[0] += 1
            entity[1].update(json.loads(self.body))
            raise Answer(200, entity[1], [('ETag', f'"{entity[0]}"')])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1000

    def handle_error(self, request, client_address):
        pass


os.environ['TZ'] = 'UTC'
time.tzset()
open(os.path.join(folder, 'requests'), 'a').close()
server = Server(('127.0.0.1', port), Handler)
port = server.server_address[1]
threading.Thread(target=server.serve_forever, daemon=True).start()
print('port', port, flush=True)
sys.stdin.read()
