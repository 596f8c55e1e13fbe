package storagetest

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// privateStorage keeps a check's apps apart from whatever else a storage holds: their
// names begin with a random text, and they are deleted when the check is over.
type privateStorage struct {
	prefix string

	mu      sync.Mutex
	storage sdk.Storage
	used    map[string]struct{} // whole names of apps that were appended to
}

// longestApp is the longest name that an app can have.
const longestApp = 253

func private(t plugintest.T, storage sdk.Storage, waits *waits) sdk.Storage {
	p := &privateStorage{
		prefix: "check-" + strings.ToLower(rand.Text()[:12]) + "-", storage: storage, used: map[string]struct{}{},
	}
	t.Cleanup(func() {
		ctx, cancel := waits.bound(context.Background())
		defer cancel()
		for app := range p.used {
			if err := p.storage.Delete(ctx, app); err != nil {
				t.Errorf("%q stays behind: %v", app, err)
				return
			}
		}
	})
	return p
}

// takeOver goes on with the names of a storage whose process is gone.
func (p *privateStorage) takeOver(from *privateStorage) {
	p.prefix, p.used, from.used = from.prefix, from.used, nil
}

// name returns the app's whole name. If the prefix makes a name too long, it is cut; the suite's
// names then still differ.
func (p *privateStorage) name(app string) string {
	name := p.prefix + app
	return name[:min(len(name), longestApp)]
}

func (p *privateStorage) Append(ctx context.Context, batch sdk.Batch) error {
	apps := make([]sdk.AppEntries, len(batch.Apps))
	p.mu.Lock()
	for i, a := range batch.Apps {
		apps[i] = sdk.AppEntries{App: p.name(a.App), Entries: a.Entries}
		p.used[apps[i].App] = struct{}{}
	}
	p.mu.Unlock()
	batch.Apps = apps
	return p.storage.Append(ctx, batch)
}

func (p *privateStorage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	opts.App = p.name(opts.App)
	return p.storage.Read(ctx, opts)
}

func (p *privateStorage) Delete(ctx context.Context, app string) error {
	return p.storage.Delete(ctx, p.name(app))
}

// Versions implements [sdk.Versioner].
func (p *privateStorage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	v, ok := p.storage.(sdk.Versioner)
	if !ok {
		return nil, sdk.ErrUnsupported
	}
	names := make([]string, len(apps))
	for i, app := range apps {
		names[i] = p.name(app)
	}
	return v.Versions(ctx, names)
}

// Apps lists the check's own apps: the names after the prefix, up to the first that does not begin
// with it.
func (p *privateStorage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	lister, ok := p.storage.(sdk.AppLister)
	if !ok {
		return nil, sdk.ErrUnsupported
	}
	all, err := lister.Apps(ctx, p.prefix+after, limit)
	if err != nil {
		return nil, err
	}
	own := []sdk.AppInfo{}
	for _, info := range all {
		name, ok := strings.CutPrefix(info.App, p.prefix)
		if !ok {
			break
		}
		info.App = name
		own = append(own, info)
	}
	return own, nil
}

// App implements [sdk.AppLister].
func (p *privateStorage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	lister, ok := p.storage.(sdk.AppLister)
	if !ok {
		return sdk.AppInfo{}, sdk.ErrUnsupported
	}
	info, err := lister.App(ctx, p.name(app))
	info.App = strings.TrimPrefix(info.App, p.prefix)
	return info, err
}

// Totals returns the totals of the whole storage: others may be at work in it.
func (p *privateStorage) Totals(ctx context.Context) (sdk.Totals, error) {
	lister, ok := p.storage.(sdk.AppLister)
	if !ok {
		return sdk.Totals{}, sdk.ErrUnsupported
	}
	return lister.Totals(ctx)
}

// Follow implements [sdk.Follower].
func (p *privateStorage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	follower, ok := p.storage.(sdk.Follower)
	if !ok {
		return sdk.ErrUnsupported
	}
	return follower.Follow(ctx, p.name(app), after, yield)
}
