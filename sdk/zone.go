package sdk

import (
	"sync"
	"time"
)

// zones holds a *time.Location for each offset in whole quarters of an hour, as real ones are, so
// that reading an entry allocates none.
var zones = sync.OnceValue(func() []*time.Location {
	all := make([]*time.Location, 2*quarters+1)
	for i := range all {
		all[i] = time.FixedZone("", (i-quarters)*quarter)
	}
	return all
})

const (
	quarter  = 15 * 60
	quarters = 24 * 4
)

func zone(offset int) *time.Location {
	if i := offset/quarter + quarters; offset%quarter == 0 && i >= 0 && i <= 2*quarters {
		return zones()[i]
	}
	return time.FixedZone("", offset)
}
