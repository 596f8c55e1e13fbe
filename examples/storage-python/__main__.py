"""A storage plugin of logger in Python. It knows the .proto and go-plugin's handshake, and nothing of
Go. It does not serve Follow, which is optional: the host polls Read instead."""
import re

import grpc

import plugin_pb2
import process
from storage import Storage

LINES = 'NUMBER_OF_LINES'
RETENTION = 'LOGGER_APP_RETENTION'

DESCRIPTION = plugin_pb2.DescribeResponse(
    kind=plugin_pb2.KIND_STORAGE,
    name='python',
    version='1.0.0',
    doc='keeps the newest lines of each app in the memory of a Python process',
    settings=[
        plugin_pb2.Setting(
            env=LINES, type=plugin_pb2.SETTING_TYPE_INT, default='1000', min=1, doc='entries kept of each app'
        ),
        plugin_pb2.Setting(
            env=RETENTION,
            type=plugin_pb2.SETTING_TYPE_DURATION,
            default='720h',
            doc='an app that got no line for so long is forgotten; 0: never',
        ),
    ],
)
CONFIGURED = plugin_pb2.ConfigureResponse(capabilities=[plugin_pb2.CAPABILITY_APPS])

storage = None  # once configured, until shut down


def opened():
    if storage is None:
        raise process.Failure(grpc.StatusCode.UNAVAILABLE, 'the plugin is not configured, or shut down')
    return storage


def seconds(text):
    """Reads a duration, which the host has checked: "720h", "1h30m", "0"."""
    units = {'h': 3600, 'm': 60, 's': 1, 'ms': 1e-3, 'us': 1e-6, 'µs': 1e-6, 'ns': 1e-9}
    return sum(float(n) * units[unit] for n, unit in re.findall(r'([\d.]+)(h|ms|m|s|us|µs|ns)', text))


def configure(request):
    global storage
    process.set_log_level(request.log_level)
    if storage is None:  # called again, it changes the log level alone
        text = request.settings.get(LINES, '')
        if not text.isdigit() or int(text) < 1:
            message = '%s=%r: want a whole number of at least 1' % (LINES, text)
            raise process.Failure(grpc.StatusCode.INVALID_ARGUMENT, message)
        storage = Storage(int(text), seconds(request.settings.get(RETENTION, '')))
    return CONFIGURED


def check(_):
    opened().forget_old()
    return plugin_pb2.CheckResponse(ready=True)


def shut_down(_):
    global storage
    storage = None
    return plugin_pb2.ShutdownResponse()


def append(request):
    opened().append(request)
    return plugin_pb2.AppendResponse()


def read(request):
    if request.HasField('filter'):  # the host then reads everything, and applies the filter itself
        raise process.Failure(grpc.StatusCode.UNIMPLEMENTED, 'this storage does not filter')
    return opened().read(request)


def delete(request):
    opened().delete(request.app)
    return plugin_pb2.DeleteResponse()


process.serve([
    process.handler('PluginService', {
        'Describe': lambda _: DESCRIPTION,
        'Configure': configure,
        'Check': check,
        'Shutdown': shut_down,
    }),
    process.handler('StorageService', {
        'Append': append,
        'Read': read,
        'Delete': delete,
        'Apps': lambda request: opened().apps(request),
        'Totals': lambda _: opened().totals(),
    }),
])
