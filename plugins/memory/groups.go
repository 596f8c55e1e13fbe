package memory

import (
	"fmt"

	"github.com/deis/logger/sdk"
)

// A reader waits for no whole batch: the lock is held for one app's entries, or for those
// of a few apps that have few.
const fewApps, fewEntries = 16, 64

// together is how many of the groups are appended under one lock.
func together(groups []sdk.AppEntries) (n int) {
	for entries := 0; n < min(len(groups), fewApps); n++ {
		if entries += len(groups[n].Entries); n > 0 && entries > fewEntries {
			break
		}
	}
	return n
}

// appendGroups stores the entries of at most fewApps apps.
func (s *storage) appendGroups(writer, sequence uint64, groups []sdk.AppEntries) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	defer s.forget()
	logs := s.lookUp(groups)
	for i, group := range groups {
		if len(group.Entries) == 0 {
			continue
		}
		if err := s.appendGroup(writer, sequence, group, logs[i]); err != nil {
			return fmt.Errorf("append to %q: %w", group.App, err)
		}
	}
	return nil
}

// lookUp gives the groups' logs, nil for those that are new. What appending to several is
// going to change is loaded here, for all of them step by step: a processor waits for many
// places in memory in the time of one, if none is needed to find another. With thousands of
// apps, nothing of an app is in a cache any more when its next line comes.
func (s *storage) lookUp(groups []sdk.AppEntries) (logs [fewApps]*log) {
	if len(groups) == 1 {
		logs[0] = s.logs.find(groups[0].App)
		return logs
	}
	var hashes [fewApps]uint64
	for i := range groups {
		hashes[i] = s.logs.hash(groups[i].App)
		s.loaded += s.logs.slots[s.logs.home(hashes[i])].hash
	}
	for i := range groups {
		logs[i] = s.logs.likely(hashes[i])
	}
	for _, l := range logs[:len(groups)] {
		if l != nil {
			s.loaded += l.end + uint64(len(l.blocks)) // one in each cache line of the log
		}
	}
	for i, l := range logs[:len(groups)] {
		if l != nil && l.name != groups[i].App {
			logs[i] = s.logs.find(groups[i].App)
		}
	}
	for i, l := range logs[:len(groups)] {
		if l != nil {
			s.loaded += l.slot.load(slotEnd) + s.loadTail(l, groups[i].Entries)
		}
	}
	return logs
}

// loadTail loads where in the log's last block the first of the entries will be.
func (s *storage) loadTail(l *log, entries []sdk.Entry) (sum uint64) {
	if len(l.blocks) == 0 || len(entries) == 0 {
		return 0
	}
	payload := s.arena.payload(l.blocks[len(l.blocks)-1])
	in := l.end % payloadSize
	for end := min(in+entryHead+uint64(len(entries[0].Message))+cacheLine, payloadSize); in < end; in += cacheLine {
		sum += uint64(payload[in])
	}
	return sum
}
