"""An aggregator plugin of logger in Python.

Its transport is a folder: each file is a message, in the order of their names, and is removed once it
is stored. Whoever publishes writes a file whose name begins with a dot, and renames it. Put your
transport in the place of the folder.
"""
import os
import queue
import threading

import grpc

import plugin_pb2
import process

DIR = 'MYPLUGIN_DIR'

DESCRIPTION = plugin_pb2.DescribeResponse(
    kind=plugin_pb2.KIND_AGGREGATOR,
    name='myplugin',
    version='1.0.0',
    doc='takes each file of a folder as a message',
    settings=[
        plugin_pb2.Setting(
            env=DIR, type=plugin_pb2.SETTING_TYPE_STRING, required=True, doc='folder of the messages, one a file'
        ),
    ],
)

# PAUSE is how many seconds to wait when there is nothing to take, or it could not be stored.
PAUSE = 0.05
# A batch, and so the memory that it takes, is bounded.
BATCH_MESSAGES = 1000
BATCH_BYTES = 1 << 20

folder = None  # once configured, until shut down


def configure(request):
    global folder
    process.set_log_level(request.log_level)
    if folder is None:  # called again, it changes the log level alone
        folder = request.settings[DIR]
    return plugin_pb2.ConfigureResponse()


def check(_):
    try:
        os.stat(folder)
    except (OSError, TypeError) as err:
        return plugin_pb2.CheckResponse(ready=False, reason=str(err))
    return plugin_pb2.CheckResponse(ready=True)


def shut_down(_):
    global folder
    folder = None
    return plugin_pb2.ShutdownResponse()


def take(directory):
    """Reads a batch of messages; none if the folder is away."""
    messages = []
    size = 0
    try:
        for name in sorted(os.listdir(directory)):
            if name.startswith('.'):
                continue
            if len(messages) >= BATCH_MESSAGES or size >= BATCH_BYTES:
                break
            with open(os.path.join(directory, name), 'rb') as file:
                payload = file.read()
                published = os.fstat(file.fileno()).st_mtime_ns
            messages.append(plugin_pb2.Message(id=name, payload=payload, published_nanos=published))
            size += len(payload)
    except OSError as err:
        process.log('debug', err)
        return []
    return messages


def remove(directory, messages):
    """Removes the messages, which are stored. It returns whether it could."""
    try:
        for message in messages:
            os.remove(os.path.join(directory, message.id))
    except OSError as err:
        process.log('debug', err)
        return False
    return True


def run(requests, context):
    """Delivers what is in the folder until the host says stop.

    What the host has by then it may still store, so it waits for that answer.
    """
    directory = folder
    if directory is None:
        context.abort(grpc.StatusCode.UNAVAILABLE, 'the plugin is not configured, or shut down')
    acks = queue.Queue()
    stopped = threading.Event()

    def receive():
        try:
            for request in requests:
                if request.HasField('ack'):
                    acks.put(request.ack)
                else:
                    stopped.set()
        except grpc.RpcError:
            pass
        stopped.set()
        acks.put(None)  # the host is gone: what it has stored comes again

    threading.Thread(target=receive, daemon=True).start()
    batch = 0
    while not stopped.is_set():
        messages = take(directory)
        if not messages:
            stopped.wait(PAUSE)
            continue
        batch += 1
        yield plugin_pb2.RunResponse(batch=batch, messages=messages)
        ack = acks.get()
        if ack is None:
            return
        if ack.code != 0 or not remove(directory, messages):
            stopped.wait(PAUSE)  # what is still in the folder comes again


process.serve([
    process.handler('PluginService', {
        'Describe': lambda _: DESCRIPTION,
        'Configure': configure,
        'Check': check,
        'Shutdown': shut_down,
    }),
    process.handler('AggregatorService', {'Run': run}),
])
