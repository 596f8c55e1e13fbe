package main

// outcome tells how a check ended. The zero value means that it passed.
type outcome struct {
	failed, left bool
	reason       string // why the check was left out
}

// outcomes holds the outcomes of one plugin.
type outcomes struct {
	order   *[]string // the names of the checks, in the order of their first results
	byCheck map[string]map[mode]outcome
}

// results holds the outcomes of all plugins, by name.
type results map[string]outcomes

// of returns the plugin's outcomes, to add to.
func (r results) of(p plugin) outcomes {
	if _, ok := r[p.String()]; !ok {
		r[p.String()] = outcomes{order: &[]string{}, byCheck: map[string]map[mode]outcome{}}
	}
	return r[p.String()]
}

// add notes how a check ended. If it ran several times in one mode, the worst outcome counts.
func (o outcomes) add(check string, m mode, is outcome) {
	if o.byCheck[check] == nil {
		o.byCheck[check] = map[mode]outcome{}
		*o.order = append(*o.order, check)
	}
	was, again := o.byCheck[check][m]
	if again && (was.failed || was.left && !is.failed) {
		return
	}
	o.byCheck[check][m] = is
}

func (o outcomes) count() (n int) {
	for _, byMode := range o.byCheck {
		n += len(byMode)
	}
	return n
}

func (r results) failed() bool {
	for _, o := range r {
		for _, byMode := range o.byCheck {
			for _, is := range byMode {
				if is.failed {
					return true
				}
			}
		}
	}
	return false
}
