"""What a plugin's process owes its host: docs/plugin-host.md says what goes wrong otherwise."""
import base64
import concurrent.futures
import datetime
import json
import os
import secrets
import signal
import sys
import tempfile
import threading

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import empty_pb2

import plugin_pb2

PROTOCOL = 1
LEVELS = ['trace', 'debug', 'info', 'warn', 'error']
least = 'info'


def set_log_level(level):
    global least
    if level in LEVELS:
        least = level


def log(level, message, **fields):
    """Writes hclog's JSON form, of which the host keeps level and fields."""
    if LEVELS.index(level) < LEVELS.index(least):
        return
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    line = {**fields, '@level': level, '@message': str(message), '@timestamp': now}
    sys.stderr.write(json.dumps(line) + '\n')
    sys.stderr.flush()


class Failure(Exception):
    """An error of one call, with its gRPC code: docs/plugins/README.md says what the host does."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def certificate():
    """Makes a key and a certificate that signs itself, for the name localhost.

    It is AutoMTLS: host and plugin make one each, at every start, and trust no other.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=30 * 365))  # as long as a process may live
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName('localhost')]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, cert


def watch_lifeline():
    """Ends the process when its host is gone: nothing else would tell."""
    fd = os.environ.get('LOGGER_PLUGIN_LIFELINE_FD', '')
    if not fd.isdigit():
        return

    def watch():
        while os.read(int(fd), 4096):
            pass
        os._exit(0)

    os.set_inheritable(int(fd), False)
    threading.Thread(target=watch, daemon=True).start()


def handler(service, methods):
    """Makes the handlers of a service from functions, by the names of its methods.

    What a function raises is an error of that call alone. Run is a stream in both directions: its
    function gets the requests, and the call's context, and yields the responses.
    """
    descriptor = plugin_pb2.DESCRIPTOR.services_by_name[service]
    handlers = {}
    for name, method in methods.items():
        of = descriptor.methods_by_name[name]
        request = getattr(plugin_pb2, of.input_type.name).FromString
        response = getattr(plugin_pb2, of.output_type.name).SerializeToString
        if name == 'Run':
            handlers[name] = grpc.stream_stream_rpc_method_handler(method, request, response)
        else:
            handlers[name] = grpc.unary_unary_rpc_method_handler(guarded(name, method), request, response)
    return grpc.method_handlers_generic_handler(descriptor.full_name, handlers)


def guarded(name, method):
    def call(request, context):
        try:
            return method(request)
        except Failure as failure:
            context.abort(failure.code, str(failure))
        except Exception as err:
            log('error', 'a call failed', method=name, error=repr(err))
            context.abort(grpc.StatusCode.INTERNAL, repr(err))

    return call


def lifecycle(ended):
    """Makes what go-plugin itself asks of a plugin: its health, and its end."""

    def check(request, context):
        return b'\x08\x01'  # HealthCheckResponse{status: SERVING}

    def shutdown(request, context):
        ended.set()
        return empty_pb2.Empty()

    return [
        grpc.method_handlers_generic_handler(
            'grpc.health.v1.Health', {'Check': grpc.unary_unary_rpc_method_handler(check)}
        ),
        grpc.method_handlers_generic_handler(
            'plugin.GRPCController',
            {
                'Shutdown': grpc.unary_unary_rpc_method_handler(
                    shutdown, response_serializer=empty_pb2.Empty.SerializeToString
                )
            },
        ),
    ]


def serve(handlers, workers=16):
    """Serves the handlers until the host ends the process. It is the whole of a main."""
    env = os.environ
    if env.get('LOGGER_PLUGIN') != 'deis-logger-plugin':
        sys.exit(
            'This is a plugin of logger, which starts it by itself: put it into a folder of '
            'LOGGER_PLUGIN_PATH.\nlogger plugins check ./%s tests it.' % os.path.basename(sys.argv[0])
        )
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # they are the host's to act on
    watch_lifeline()
    handshake = sys.stdout
    sys.stdout = sys.stderr  # only the handshake belongs on stdout
    versions = env.get('PLUGIN_PROTOCOL_VERSIONS', str(PROTOCOL)).split(',')
    if str(PROTOCOL) not in versions:
        # It is told in the handshake all the same: the host says what to do.
        log('error', 'the host speaks versions %s of the protocol, this plugin %d' % (versions, PROTOCOL))
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(workers),
        options=[('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)],
    )
    ended = threading.Event()
    server.add_generic_rpc_handlers(tuple(handlers + lifecycle(ended)))
    path = os.path.join(
        env.get('PLUGIN_UNIX_SOCKET_DIR') or tempfile.gettempdir(), 'plugin' + secrets.token_hex(6)
    )
    der = ''
    if env.get('PLUGIN_CLIENT_CERT'):
        key, cert = certificate()
        credentials = grpc.ssl_server_credentials(
            [(key, cert.public_bytes(serialization.Encoding.PEM))],
            root_certificates=env['PLUGIN_CLIENT_CERT'].encode(),
            require_client_auth=True,  # and no other client
        )
        server.add_secure_port('unix:' + path, credentials)
        der = base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode().rstrip('=')
    else:  # run by hand, to be looked at
        server.add_insecure_port('unix:' + path)
    server.start()
    handshake.write('1|%d|unix|%s|grpc|%s\n' % (PROTOCOL, path, der))
    handshake.flush()
    ended.wait()
    server.stop(0.2).wait()
    os._exit(0)  # whatever still runs
