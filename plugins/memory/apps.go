package memory

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// listedApps is the most apps that one call lists.
	listedApps = 1000
	// appsAtOnce bounds the apps that are looked at under one lock.
	appsAtOnce = 100
	// maxBucket bounds the number of logs in a bucket.
	maxBucket = 512
)

// names holds the logs in the order of their apps' names, in buckets, so that an insert among a
// million moves at most a bucket. No bucket is empty.
type names struct {
	buckets [][]*log
}

// find returns the bucket that a name belongs in, and its index there.
func (n *names) find(name string) (bucket, i int, found bool) {
	bucket, found = slices.BinarySearchFunc(n.buckets, name, func(b []*log, name string) int { return strings.Compare(b[0].name, name) })
	if found || bucket == 0 {
		return bucket, 0, found
	}
	bucket--
	i, found = slices.BinarySearchFunc(n.buckets[bucket], name, func(l *log, name string) int { return strings.Compare(l.name, name) })
	return bucket, i, found
}

// insert adds a log whose name is not there.
func (n *names) insert(l *log) {
	if len(n.buckets) == 0 {
		n.buckets = [][]*log{{l}}
		return
	}
	b, i, _ := n.find(l.name)
	n.buckets[b] = slices.Insert(n.buckets[b], i, l)
	if all := n.buckets[b]; len(all) > maxBucket {
		half := len(all) / 2
		n.buckets = slices.Insert(n.buckets, b+1, slices.Clone(all[half:]))
		clear(all[half:])
		n.buckets[b] = all[:half]
	}
}

// remove removes a log that is there.
func (n *names) remove(l *log) {
	b, i, _ := n.find(l.name)
	if n.buckets[b] = slices.Delete(n.buckets[b], i, i+1); len(n.buckets[b]) == 0 {
		n.buckets = slices.Delete(n.buckets, b, b+1)
	}
}

// after returns the first appsAtOnce logs whose names come after that one.
func (n *names) after(name string) []*log {
	var logs []*log
	b, i, found := n.find(name)
	if found {
		i++
	}
	for ; b < len(n.buckets) && len(logs) < appsAtOnce; b, i = b+1, 0 {
		part := n.buckets[b][i:]
		logs = append(logs, part[:min(len(part), appsAtOnce-len(logs))]...)
	}
	return logs
}

// Apps implements [sdk.AppLister].
func (s *storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if limit <= 0 || limit > listedApps {
		limit = listedApps
	}
	var infos []sdk.AppInfo
	for len(infos) < limit {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		more, err := s.list(&after, limit-len(infos))
		if err != nil {
			return nil, err
		}
		infos = append(infos, more...)
		if after == "" {
			break
		}
	}
	return infos, nil
}

// list returns the next few apps, and sets after to the last of them, or to "" if there are none.
func (s *storage) list(after *string, limit int) ([]sdk.AppInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	var infos []sdk.AppInfo
	logs := s.names.after(*after)
	*after = ""
	for _, l := range logs {
		if *after = l.name; l.kept > 0 {
			infos = append(infos, s.info(l))
		}
		if len(infos) == limit {
			break
		}
	}
	return infos, nil
}

// App implements [sdk.AppLister].
func (s *storage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	if err := ctx.Err(); err != nil {
		return sdk.AppInfo{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch l := s.logs[app]; {
	case s.closed:
		return sdk.AppInfo{}, errClosed
	case l == nil:
		return sdk.AppInfo{App: app}, nil
	default:
		return s.info(l), nil
	}
}

// info describes the log. Its bytes are those of its blocks.
func (s *storage) info(l *log) sdk.AppInfo {
	info := sdk.AppInfo{App: l.name, Entries: uint64(l.kept), Last: l.last, Bytes: uint64(l.held) * blockSize}
	end := func(w way) (t time.Time) {
		q := query{way: w, limit: 1, low: sortKey{published: math.MinInt64}, high: furthest, last: math.MaxUint64, since: math.MinInt64}
		if found := s.look(l, &q).found; len(found) > 0 {
			t = time.Unix(0, found[0].published).UTC()
		}
		return t
	}
	if l.kept > 0 {
		info.Oldest, info.Newest = end(history), end(newest)
	}
	return info
}

// Totals implements [sdk.AppLister]. If the process was killed while it deleted a log, that log's
// entries may be counted twice as gone.
func (s *storage) Totals(ctx context.Context) (sdk.Totals, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Totals{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return sdk.Totals{}, errClosed
	}
	t := sdk.Totals{
		Apps: uint64(len(s.shares)), Entries: s.entries,
		Bytes:   uint64(int(s.arena.blocks)-1-s.directories-len(s.arena.free)) * blockSize,
		Evicted: s.arena.load(departedEvicted) + s.arrived - s.entries,
		Deleted: s.arena.load(departedDeleted),
	}
	t.Stored = t.Entries + t.Evicted + t.Deleted
	return t, nil
}

// Versions implements [sdk.Versioner].
func (s *storage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed
	}
	versions := make([]uint64, len(apps))
	for i, app := range apps {
		if l := s.logs[app]; l != nil {
			versions[i] = l.version
		}
	}
	return versions, nil
}

// sweepOften forgets apps that got no line for the retention, until Close.
func (s *storage) sweepOften() {
	ticks := time.NewTicker(max(time.Millisecond, min(s.retention/8, time.Minute)))
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			s.sweep()
		case <-s.stop:
			return
		}
	}
}

// sweep looks at all apps, a few at a time.
func (s *storage) sweep() {
	for after, more := "", true; more; {
		after, more = s.sweepAfter(after)
	}
}

func (s *storage) sweepAfter(name string) (last string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", false
	}
	logs := s.names.after(name)
	if len(logs) == 0 {
		return "", false
	}
	oldest := s.now().Add(-s.retention).Unix()
	for _, l := range logs {
		last = l.name
		if int64(l.touched) < oldest {
			s.remove(l)
		}
	}
	return last, true
}
