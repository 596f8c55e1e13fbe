"""The storage itself: the newest entries of each app, in memory."""
import bisect
import secrets
import threading
import time

import plugin_pb2

# MARKED_WRITERS is how many writers are remembered for each app. A writer is one run of a host.
MARKED_WRITERS = 16

# PAGE_BYTES is about how much one page holds: what is more is left to the next read.
PAGE_BYTES = 1 << 20

# PAGE_APPS is how many apps are listed at once, unless fewer are asked for.
PAGE_APPS = 1000


class Kept:
    """An entry, its place in the order of arrival, and its place in the order of publishing."""

    def __init__(self, entry, position):
        self.entry = entry
        self.position = position
        self.place = (entry.published_nanos, position)
        self.size = 64 + entry.ByteSize()


def by_place(kept):
    return kept.place


class Log:
    """One life of an app's entries."""

    def __init__(self):
        self.epoch = secrets.randbits(64) | 1  # a number that no other log has, and not 0
        self.last = 0  # the position of the last entry
        self.bytes = 0
        self.appended = 0.0
        self.arrived = []  # what is kept, in the order of arrival
        self.published = []  # and in that of publishing
        self.marks = {}  # the highest sequence of each writer


class Storage:
    """Calls come from several threads. Each has the lock for all that it does."""

    def __init__(self, lines, retention):
        self.lines = lines
        self.retention = retention  # in seconds; 0: never
        self.logs = {}  # those that were appended to last are at its end
        self.evicted = 0
        self.deleted = 0
        self.lock = threading.Lock()

    def append(self, batch):
        with self.lock:
            for group in batch.apps:
                if not group.entries:
                    continue  # nothing to store begins no log
                log = self.logs.get(group.app) or Log()
                if batch.sequence <= log.marks.get(batch.writer, -1):
                    continue  # it has this batch
                log.marks.pop(batch.writer, None)  # so that the latest writer is the last
                log.marks[batch.writer] = batch.sequence
                if len(log.marks) > MARKED_WRITERS:
                    del log.marks[next(iter(log.marks))]
                for entry in group.entries:
                    log.last += 1
                    kept = Kept(entry, log.last)
                    log.arrived.append(kept)
                    bisect.insort(log.published, kept, key=by_place)
                    log.bytes += kept.size
                self.trim(log)
                log.appended = time.monotonic()
                self.logs.pop(group.app, None)
                self.logs[group.app] = log
        self.forget_old()

    def trim(self, log):
        """Keeps the entries that were published last, whenever they arrived."""
        over = len(log.published) - self.lines
        if over <= 0:
            return
        gone = log.published[:over]
        del log.published[:over]
        positions = {kept.position for kept in gone}
        log.arrived = [kept for kept in log.arrived if kept.position not in positions]
        log.bytes -= sum(kept.size for kept in gone)
        self.evicted += over

    def forget_old(self):
        """Forgets the apps that got no line for long."""
        with self.lock:
            while self.retention and self.logs:
                app, log = next(iter(self.logs.items()))
                if log.appended > time.monotonic() - self.retention:
                    return
                self.evicted += len(log.arrived)
                del self.logs[app]

    def read(self, request):
        """Answers the newest entries, what is left of a history, or what arrived after a position."""
        with self.lock:
            log = self.logs.get(request.app)
            if log is None:
                return plugin_pb2.ReadResponse()
            wanted = len(log.published)
            if request.limit >= 0:
                wanted = min(wanted, request.limit)
            if not request.HasField('after'):
                entries = log.published
                if request.HasField('before') and request.before.epoch == log.epoch:
                    up_to, place = cursor(request.before)
                    entries = [k for k in entries if k.position <= up_to and (not place or k.place < place)]
                return page(log, entries[len(entries) - min(len(entries), wanted):], newest=True)
            up_to, place = 0, None  # a cursor of another epoch comes before everything
            if request.after.epoch == log.epoch:
                up_to, place = cursor(request.after)
            if place:
                rest = [k for k in log.published if k.position <= up_to and k.place > place]
                if rest:
                    return page(log, rest[:wanted])
            first = bisect.bisect_right(log.arrived, up_to, key=lambda k: k.position)
            return page(log, log.arrived[first:first + wanted])

    def delete(self, app):
        with self.lock:
            log = self.logs.pop(app, None)
            self.deleted += len(log.arrived) if log else 0

    def apps(self, request):
        """Lists the apps that come after a name, or the one that is asked for."""
        with self.lock:
            if request.app:
                names = [request.app] if request.app in self.logs else []
            else:
                names = sorted(name for name in self.logs if name > request.after)  # ASCII, so as bytes
            return plugin_pb2.AppsResponse(apps=[self.info(n) for n in names[:request.limit or PAGE_APPS]])

    def info(self, app):
        log = self.logs[app]
        return plugin_pb2.AppInfo(
            app=app,
            entries=len(log.arrived),
            bytes=log.bytes,
            oldest_nanos=log.published[0].entry.published_nanos,
            newest_nanos=log.published[-1].entry.published_nanos,
            last=log.last,
        )

    def totals(self):
        with self.lock:
            entries = sum(len(log.arrived) for log in self.logs.values())
            return plugin_pb2.TotalsResponse(
                apps=len(self.logs),
                entries=entries,
                bytes=sum(log.bytes for log in self.logs.values()),
                stored=entries + self.evicted + self.deleted,
                evicted=self.evicted,
                deleted=self.deleted,
            )


def cursor(c):
    """Returns the position up to which its reader has seen, and its place inside a history, or None."""
    return c.position, (c.published_nanos, c.entry) if c.published_nanos or c.entry else None


def page(log, entries, newest=False):
    """Makes the page of these, or of as many of them as one page holds: the last of the newest, else
    the first. The host says where reading goes on, and what is gone."""
    size = n = 0
    for kept in reversed(entries) if newest else entries:
        if size >= PAGE_BYTES:
            break
        size += kept.size
        n += 1
    more = n < len(entries)
    entries = entries[len(entries) - n:] if newest else entries[:n]
    response = plugin_pb2.ReadResponse(epoch=log.epoch, last=log.last, more=more)
    if entries:
        response.first = expected = entries[0].position
        for kept in entries:
            entry = response.entries.add()
            entry.CopyFrom(kept.entry)
            entry.jump = kept.position - expected  # 0 where positions rise by one
            expected = kept.position + 1
    return response
